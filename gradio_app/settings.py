"""What the person who runs the demo decides; nothing of it can come from a request."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How a demo is run."""

    model: str = "mematte-tiny"
    """What is used unless another is chosen: a catalog name, Hub id, folder or file."""
    device: str = "auto"
    """Where networks run: "auto", or a torch device."""
    max_megapixels: float = 64.0
    """Largest picture that is taken, in millions of pixels."""
    max_mb: float = 200.0
    """Largest file that can be uploaded, in millions of bytes."""
    queue_size: int = 16
    """How many jobs may wait."""
    keep_minutes: float = 60.0
    """How long uploads and results stay on the disk."""
    mcp: bool = False
    """Whether the endpoints are tools of an MCP server, too."""

    @property
    def max_pixels(self) -> int:
        """Largest picture that is taken, in pixels."""
        return int(self.max_megapixels * 1e6)

    @property
    def max_bytes(self) -> int:
        """Largest file that can be uploaded."""
        return int(self.max_mb * 1e6)
