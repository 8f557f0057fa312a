"""The endpoints as tools, with the client that agents are built on."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio")
pytest.importorskip("mcp")

import httpx
import numpy as np
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent

from gradio_app.guard import ENDPOINTS
from mematte_plugin import from_mask
from tests.gradio_app.harness import MASK, PHOTO, TRIMAP, Service, pixels


def talk(service: Service, say: Callable[[ClientSession], Awaitable[Any]]) -> Any:
    """What comes of a conversation."""

    async def conversation() -> Any:
        address = f"{service.url}/gradio_api/mcp/"
        async with (
            streamable_http_client(address) as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            return await say(session)

    return asyncio.run(conversation())


def call(service: Service, tool: str, arguments: dict[str, Any], **options: Any) -> CallToolResult:
    return talk(service, lambda session: session.call_tool(tool, arguments, **options))


def texts(result: CallToolResult) -> list[str]:
    assert all(isinstance(part, TextContent) for part in result.content)
    return [part.text for part in result.content if isinstance(part, TextContent)]


def address(service: Service, path: Path) -> str:
    """That of an uploaded file, as Gradio's own upload tool for agents gives it."""
    return f"{service.url}/gradio_api/file={service.upload(path)}"


def inline(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def test_the_tools_are_the_endpoints_and_say_what_they_take(service: Service) -> None:
    tools = talk(service, lambda session: session.list_tools()).tools
    assert {tool.name for tool in tools} == set(ENDPOINTS)
    for tool in tools:
        assert tool.description
        for name, parameter in tool.inputSchema["properties"].items():
            assert parameter["description"], (tool.name, name)


def test_plan(service: Service) -> None:
    (text,) = texts(call(service, "plan", {"width": 4000, "height": 3000}))
    assert json.loads(text)["size"] == [3000, 4000]


def test_a_trimap_from_inline_data(service: Service, tmp_path: Path) -> None:
    (made,) = texts(call(service, "trimap", {"mask": inline(MASK), "inside": 1, "outside": 3}))
    target = tmp_path / "trimap.png"
    target.write_bytes(httpx.get(made).content)
    assert np.array_equal(pixels(target), from_mask(MASK, inside=1, outside=3))


@pytest.mark.parametrize("heard", [True, False])
def test_matte_answers_with_addresses_and_a_report(service: Service, heard: bool) -> None:
    """With and without a listener for progress: Gradio has two ways to answer."""
    stages = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        del progress, total
        stages.append(message)

    cutout, alpha, report = texts(
        call(
            service,
            "matte",
            {"image": address(service, PHOTO), "trimap": address(service, TRIMAP)},
            progress_callback=listen if heard else None,
        )
    )
    for found in (cutout, alpha):
        assert httpx.get(found).content[:4] == b"\x89PNG"
    assert json.loads(report)["photo"] == PHOTO.name
    assert bool(stages) == heard


def test_a_mask_that_was_found_goes_into_matte(service: Service) -> None:
    async def both(session: ClientSession) -> list[str]:
        asked = {"image": inline(PHOTO), "points": [[256, 200]]}
        mask, facts = texts(await session.call_tool("subject", asked))
        assert json.loads(facts)["source"] == "points"
        return texts(await session.call_tool("matte", {"image": inline(PHOTO), "alpha": mask}))

    assert json.loads(talk(service, both)[2])["unknown"] > 0


def test_a_result_goes_into_the_next_call(service: Service) -> None:
    async def both(session: ClientSession) -> CallToolResult:
        made = texts(await session.call_tool("trimap", {"mask": address(service, MASK)}))[0]
        return await session.call_tool("matte", {"image": inline(PHOTO), "trimap": made})

    assert not talk(service, both).isError


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ("http://127.0.0.1:9/mask.png", "nothing is fetched"),
        ("https://example.org/mask.png", "nothing is fetched"),
        ("http://127.0.0.1/gradio_api/file=/etc/passwd", "not a file that was uploaded here"),
        ("file:///etc/passwd", "Invalid file data"),
        ("/etc/passwd", "Invalid file data"),
        ("data:image/png;base64,", "the file is empty"),
        ("data:image/svg+xml;base64,PHN2Zy8+", "SVG"),
    ],
)
def test_other_files_are_refused(service: Service, mask: str, message: str) -> None:
    result = call(service, "trimap", {"mask": mask})
    assert result.isError
    assert message in texts(result)[0]


def test_errors_are_the_packages_own_words(service: Service) -> None:
    result = call(service, "plan", {"width": 0, "height": 1})
    assert result.isError
    assert texts(result)[0].startswith("width 0: give pixels")
