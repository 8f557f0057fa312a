"""Full-resolution, memory-efficient alpha matting: MEMatte as a package.

    >>> from mematte_plugin import cut
    >>> cut("photo.jpg", mask="mask.png").save("cutout.png")  # doctest: +SKIP

The public names stand in `__init__.pyi`. Each is loaded when it is first used, so that importing
the package is quick.
"""

import os
import sys

import lazy_loader

__version__ = "0.1.0"

# On a CPU torch keeps kernels of 1024 convolutions, one for each shape, in either of two caches:
# some 30 MB where pictures of many sizes are computed. Few do as well. It reads this when it is
# loaded; a program that has loaded it already (ComfyUI) keeps its environment as it is.
if "torch" not in sys.modules:
    for _cache in ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"):
        os.environ.setdefault(_cache, "64")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]
