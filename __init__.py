"""The door for ComfyUI when this repository is cloned into custom_nodes; nothing else.

The Python package is `mematte_plugin`, the nodes are in `comfyui_nodes`.
"""

if __package__:  # not where pytest or a linter meets this file without a package around it
    from .comfyui_nodes import WEB_DIRECTORY, comfy_entrypoint

    __all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
