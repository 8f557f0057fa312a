"""The endpoints as tools of an MCP server: Gradio's, with answers that fit in a conversation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import gradio.mcp

from .files import current_folder

if TYPE_CHECKING:
    from gradio import Blocks
    from mcp.types import TextContent


def answer_in_text(demo: Blocks) -> None:
    """Make a launched demo's tools answer in text: files by their address, the rest as JSON.

    Gradio would encode whole pictures into the answer, tens of megabytes for a photo, while every
    other visitor waits. And a call without a progress token would get all outputs in one, as
    Python prints them.
    """
    server: Any = demo.mcp_server_obj
    server.postprocess_output_data = _texts
    # Read when gradio.mcp was first imported, which may be before the folder was made.
    gradio.mcp.DEFAULT_TEMP_DIR = str(current_folder())


def _texts(data: Any, root_url: str) -> list[TextContent]:
    from mcp.types import TextContent

    del root_url  # the addresses contain it already
    if len(data) == 1 and isinstance(data[0], list | tuple):
        data = data[0]
    return [TextContent(type="text", text=_text(part)) for part in data]


def _text(part: Any) -> str:
    if isinstance(part, dict) and "url" in part and "path" in part:
        return str(part["url"])
    return part if isinstance(part, str) else json.dumps(part, ensure_ascii=False)
