"""The node that loads a model, and the list of models."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from comfy_api.latest import io

from . import host
from .core import core
from .schema import ModelType, schema

BUILT_IN = "mematte-tiny"

logger = logging.getLogger(__name__)


class LoadModel(io.ComfyNode):
    """A MEMatte or ViTMatte network, handled by ComfyUI's memory manager."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs; lists the models again each time."""
        return schema(
            node_id="MEMatteLoadModel",
            display_name="Load MEMatte Model",
            description="Loads the matting network. mematte-tiny is built in and free for "
            "commercial use; others are read from models/mematte or downloaded on first use.",
            search_aliases=["matting model", "vitmatte", "load matting"],
            inputs=[
                io.Combo.Input(
                    "model",
                    options=list(choices()),
                    default=BUILT_IN,
                    tooltip=f"{BUILT_IN} is built in. Files and folders in models/mematte come "
                    "next (official .pth, our .safetensors). The vitmatte models are downloaded "
                    "from Hugging Face on first use; they were trained on data for non-commercial "
                    "use.",
                ),
                io.Combo.Input(
                    "precision",
                    options=["auto", *host.PRECISIONS],
                    default="auto",
                    tooltip="auto: fp16 on cards that are good at it, otherwise fp32. The mattes "
                    "differ by less than one can see; bf16 is the coarsest.",
                ),
            ],
            outputs=[ModelType.Output("mematte_model", display_name="model")],
        )

    @classmethod
    def validate_inputs(cls, model: Any = None) -> bool | str:
        """Check that the model still exists; a name from another node is not known yet."""
        if not isinstance(model, str) or model in choices():
            return True
        folders = " or ".join(str(folder) for folder in host.model_folders())
        return (
            f"model: {model!r} does not exist; put it back into {folders}, or choose another model"
        )

    @classmethod
    def fingerprint_inputs(cls, model: str, precision: str) -> Any:
        """Changes when a model file is replaced, so that ComfyUI reads it again."""
        path = choices().get(model)
        if path is None:
            return model
        files = [path] if path.is_file() else sorted(path.iterdir())
        return [(str(file), file.stat().st_mtime_ns) for file in files]

    @classmethod
    def execute(cls, model: str, precision: str) -> io.NodeOutput:
        """The model; its weights are not on the device yet."""
        return io.NodeOutput(load(model, precision))


def choices() -> dict[str, Path | None]:
    """All models by name, with the path if it is the user's own file or folder.

    Models of the catalog have no path: downloading one must not look like replacing it.
    """
    catalog = {model.entry.name: model.entry.where for model in core.list_models()}
    found: dict[str, Path | None] = {n: None for n, where in catalog.items() if where == "bundled"}
    for folder in host.model_folders():
        for name, path in core.models_in(folder).items():
            if name not in catalog:
                found.setdefault(name, path)
    return {**found, **{name: None for name in catalog if name not in found}}


def load(name: str = BUILT_IN, precision: str = "auto") -> host.Model:
    """A model by its name in `choices`, downloaded if necessary.

    Raises core.WeightsError if it is missing or damaged, or cannot be downloaded.
    """
    known = choices()
    if name not in known:
        raise core.WeightsError(str(LoadModel.validate_inputs(name)))
    path = known[name]
    if path is not None:
        return host.managed(core.load_network(path), name, precision)
    entry = next(model.entry for model in core.list_models() if model.entry.name == name)
    network = core.load_network(
        name, folder=host.model_folders()[0], progress=host.download_progress
    )
    terms = "" if entry.commercial else f"model {name}: trained on {entry.trained_on}"
    return host.managed(network, name, precision, terms)
