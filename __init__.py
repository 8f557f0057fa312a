"""The door for ComfyUI when this repository is cloned into custom_nodes; nothing else.

The Python package is `mematte_plugin`, the nodes are in `comfyui_nodes`.
"""

import sys

# pytest comes through here too: to it, a checkout whose folder has a Python name is a package.
if __package__ and "comfy_api" in sys.modules:
    from .comfyui_nodes import WEB_DIRECTORY, comfy_entrypoint

    __all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
