"""Training data: photographs and rendered foregrounds whose licence permits it, composed endlessly.

`build_bank` prepares a folder once and `import_pictures` brings in pictures of one's own; a
`Composer` turns it into as many training crops as wanted. Composing needs torch's companions numpy
and OpenCV only; building and packing also Pillow.
"""

from .bank import build_bank
from .compose import Composer, Sample
from .credits import data_section
from .importing import import_pictures
from .pack import Packed, pack
from .preview import preview

__all__ = [
    "Composer",
    "Packed",
    "Sample",
    "build_bank",
    "data_section",
    "import_pictures",
    "pack",
    "preview",
]
