"""Runs ComfyUI's main.py: ``python launch.py CHECKOUT OPTIONS…``.

torchvision built for another torch cannot load its operators and then refuses to be imported,
because two of them are not declared. ComfyUI imports it but needs none of its
operators for our graphs, so they are declared here. Where torchvision is whole this does nothing.
"""

from __future__ import annotations

import os
import runpy
import sys

import torch

SCHEMA = "{}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def declare_operators() -> object:
    """The library that holds the declarations; they last as long as it does."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    else:
        return None
    for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(SCHEMA.format(operator))
    return library


if __name__ == "__main__":
    operators = declare_operators()
    checkout = os.path.abspath(sys.argv[1])
    sys.argv = [os.path.join(checkout, "main.py"), *sys.argv[2:]]
    sys.path[0] = checkout  # as if main.py had been started
    os.chdir(checkout)
    runpy.run_path(sys.argv[0], run_name="__main__")
