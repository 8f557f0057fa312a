"""Gradio's picture components without its decoding: what was uploaded, as it was uploaded."""

from __future__ import annotations

from abc import ABCMeta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.data_classes import ImageData

if TYPE_CHECKING:
    from gradio.components.image_editor import EditorData


class _Quiet(type(gr.Image)):  # type: ignore[misc]  # a class that is only known when this runs
    """Gradio's own metaclass writes a .pyi file beside the module of every component's class."""

    def __new__(mcs, name: str, bases: tuple[type, ...], names: dict[str, Any]) -> _Quiet:
        return ABCMeta.__new__(mcs, name, bases, names)


class FileOfPicture(gr.Image, metaclass=_Quiet):
    """A picture to upload, paste or take, that is handed on as the file it came as.

    The page's own decoding would lose 16 bits, ICC profile and EXIF, and refuses EXR.
    """

    def get_block_name(self) -> str:
        """Which of the page's components shows it."""
        return "image"

    def preprocess(self, payload: ImageData | None) -> Path | None:  # type: ignore[override]
        """The uploaded file; Gradio has checked that it is one."""
        return None if payload is None or not payload.path else Path(payload.path)


class Painter(gr.ImageEditor, metaclass=_Quiet):
    """An editor to paint in, of which only the painted layers are read."""

    def get_block_name(self) -> str:
        """Which of the page's components shows it."""
        return "imageeditor"

    def preprocess(self, payload: EditorData | None) -> list[Path]:  # type: ignore[override]
        """The files of the painted layers."""
        layers = [] if payload is None else payload.layers
        return [Path(layer.path) for layer in layers if layer.path]

    def accept_blobs(self, data: Any) -> None:
        """Nothing: layers come as files when they are asked for.

        Gradio's own keeps what any client sends in memory until somebody asks for it. Without the
        mark of a server function this one cannot be called from outside.
        """
