"""MEMatte in ComfyUI: matting of hair, fur and lace at full resolution in the available memory.

Thin nodes over `mematte_plugin`. ComfyUI looks for `comfy_entrypoint`, and for the help pages in
`WEB_DIRECTORY`.
"""

from pathlib import Path

from comfy_api.latest import ComfyExtension, io

WEB_DIRECTORY = str(Path(__file__).parent / "web")


class MEMatteExtension(ComfyExtension):
    """Lists the nodes for ComfyUI."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """All nodes of the pack, in the order in which a graph uses them."""
        from .colour_nodes import Composite, EstimateForeground
        from .matting_nodes import MaskToAlpha, Matting, RoutingMap
        from .model_node import LoadModel
        from .trimap_node import TrimapFromMask

        return [
            LoadModel,
            TrimapFromMask,
            Matting,
            MaskToAlpha,
            EstimateForeground,
            RoutingMap,
            Composite,
        ]


async def comfy_entrypoint() -> ComfyExtension:
    """Called once by ComfyUI when it starts."""
    from . import host

    # Not in on_load, which ComfyUI 0.3 does not call.
    host.register_model_folder()
    host.place_examples(Path(__file__).parent / "examples")
    return MEMatteExtension()
