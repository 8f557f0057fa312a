"""Full-resolution, memory-efficient alpha matting: MEMatte as a package.

    >>> from mematte_plugin import cut
    >>> cut("photo.jpg", mask="mask.png").save("cutout.png")  # doctest: +SKIP

The public names stand in `__init__.pyi`. Each is loaded when it is first used, so that importing
the package is quick.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]
