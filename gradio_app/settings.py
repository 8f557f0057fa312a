"""What the operator of the demo decides; no request can change it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How a demo runs."""

    model: str = "mematte-tiny"
    """The default model: a catalog name, Hub id, folder or file."""
    device: str = "auto"
    """Where networks run: "auto", or a torch device."""
    max_megapixels: float = 64.0
    """Largest picture, in millions of pixels."""
    max_mb: float = 200.0
    """Largest upload, in millions of bytes."""
    queue_size: int = 16
    """How many jobs may wait."""
    keep_minutes: float = 60.0
    """How long uploads and results stay on the disk."""
    find: bool = True
    """Whether subjects are found here; else visitors mark them."""
    subject_model: str | None = None
    """What finds a subject by itself: a network's Hub id, folder or file; None for the default."""
    clicks_model: str | None = None
    """What finds it from clicks and in a box, in the same way."""
    words_model: str | None = None
    """What finds it by a word, in the same way."""
    mcp: bool = False
    """Whether the endpoints are also tools of an MCP server."""

    @property
    def max_pixels(self) -> int:
        """Largest picture, in pixels."""
        return int(self.max_megapixels * 1e6)

    @property
    def max_bytes(self) -> int:
        """Largest upload, in bytes."""
        return int(self.max_mb * 1e6)
