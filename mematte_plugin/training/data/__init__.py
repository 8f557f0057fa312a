"""Training data: photographs and rendered foregrounds whose licence permits it, composed endlessly.

`build_bank` prepares a folder once; a `Composer` turns it into as many training crops as wanted.
"""

from .bank import build_bank
from .compose import Composer, Sample
from .preview import preview

__all__ = ["Composer", "Sample", "build_bank", "preview"]
