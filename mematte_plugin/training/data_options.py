"""The options of building, looking at and packing training data, for whichever command line.

Beside the data package, not in it: that one imports numpy and OpenCV, which `--help` must not need.
"""

from __future__ import annotations

import os
from pathlib import Path

from .options import Option


def paths(text: str) -> list[Path]:
    """Paths, separated as in $PATH."""
    return [Path(part) for part in text.split(os.pathsep) if part]


BUILD = {
    "count": Option(int, None, "Foregrounds drawn in 2D; 600 unless --minutes is given."),
    "figures": Option(int, 0, "People, animals and plants drawn in 3D, seconds each."),
    "blender": Option(int, 0, "Foregrounds path-traced by Blender, minutes each."),
    "blender_python": Option(
        Path, None, "A Python that can import bpy (pip install bpy). Default: this one."
    ),
    "minutes": Option(float, None, "Stop rendering after so many minutes."),
    "photos": Option(
        paths,
        None,
        "Folders and .tgz archives with more photographs. Used are those known to be free and those"
        " that a folder's credits.csv (file,author,licence) says may be used. Default: the"
        " photographs of installed packages.",
    ),
    "emoji_archive": Option(Path, None, "The archive of `npm pack @lobehub/fluent-emoji-3d`."),
    "size": Option(int, 1024, "Pixels a side of a foreground: large crops need large ones."),
    "seed": Option(int, 0, "The same seed draws the same."),
    "workers": Option(int, 1, "Processes."),
}
"""Of `build_bank`, by Python name; dashes stand for underscores on a command line."""

IMPORT = {
    "licence": Option(
        str,
        "unknown",
        "Licence of the pictures, for the card of what is trained on them: CC-BY-4.0, or words.",
    ),
    "author": Option(str, "unknown", "Who made the pictures, for the card."),
}
"""Of `import_pictures`."""

PREVIEW = {
    "rows": Option(int, 8, "Rows of samples."),
    "cols": Option(int, 3, "Samples a row."),
    "size": Option(int, 224, "Pixels a side of a sample."),
    "seed": Option(int, 0, "Another seed shows other samples."),
}
"""Of `preview`."""

PACK = {
    "max_mb": Option(float, 45.0, "The most megabytes that all files together may have."),
    "seed": Option(int, 0, "Decides what is left out."),
    "quality": Option(int, 82, "Of colours, 1 to 100; alpha is stored without loss."),
}
"""Of `pack`."""
