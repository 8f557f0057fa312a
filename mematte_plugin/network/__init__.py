"""The network of the paper, one file per part. Pure computation: no files, no device policy.

The names in `__init__.pyi` are loaded when they are first used: its shape alone (`config`) needs no
torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
