"""What is refused before Gradio sees it: addresses to fetch, bodies without end."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse

from .settings import Settings

ELSEWHERE = re.compile(r"/file=\s*[a-z][a-z0-9+.-]+:", re.IGNORECASE)
"""A route that streams the files of other servers to whoever asks."""
UNUSED = re.compile(r"/gradio_api/(process_recording|deep_link|vibe-|undo-vibe-)")
"""Routes that write to the disk for features this page has not."""
STATISTICS = "/monitoring/summary"
"""What "Use via API" shows where it is public. It is not, and asking must not be an error."""
NAMED = re.compile(r"/gradio_api/(?:call/v2|call|run|api)/([^/]+)")
"""Routes of endpoints by their name."""
ENDPOINTS = ("matte", "trimap", "plan")
"""All of those."""
FILES = ("/upload", "/component_server")
"""Routes that take files; the others take JSON."""
JSON_BYTES = 32_000_000
"""Largest body of those: pictures come as files, but for agents, which send them in the text."""
AROUND = 1_000_000
"""What a form may need besides its file."""

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Guard:
    """ASGI middleware. Gradio limits each of the files of an upload, but not how many there are,
    nor any other body; and it would fetch what a path names in the network."""

    def __init__(self, app: App, settings: Settings) -> None:
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is harmless."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path: str = scope["path"]
        if ELSEWHERE.search(path):
            refusal = PlainTextResponse("Nothing is fetched from other addresses here.", 403)
            await refusal(scope, receive, send)
            return
        if path.endswith(STATISTICS):
            await JSONResponse({"functions": {}})(scope, receive, send)
            return
        if UNUSED.search(path):
            await PlainTextResponse("Not used here.", 404)(scope, receive, send)
            return
        named = NAMED.match(path)
        if named and named[1] not in ENDPOINTS:
            there = ", ".join(f"/{name}" for name in ENDPOINTS)
            await PlainTextResponse(f"There is no such endpoint; there are {there}.", 404)(
                scope, receive, send
            )
            return
        takes_files = path.rstrip("/").endswith(FILES)
        most = self.settings.max_bytes + AROUND if takes_files else JSON_BYTES
        message = (
            f"Larger than the {self.settings.max_mb:g} MB that may be uploaded here."
            if takes_files
            else f"Larger than {most / 1e6:g} MB; upload pictures as files, by /gradio_api/upload."
        )
        length = Headers(scope=scope).get("content-length", "")
        if length.isdigit() and int(length) > most:
            await PlainTextResponse(message, 413)(scope, receive, send)
            return
        taken, begun = 0, False

        async def counted() -> Message:
            nonlocal taken
            part = await receive()
            taken += len(part.get("body", b""))
            if taken > most:
                raise HTTPException(413, message)
            return part

        async def watched(part: Message) -> None:
            nonlocal begun
            begun = True
            await send(part)

        try:
            await self.app(scope, counted, watched)
        except ClientDisconnect:
            pass  # in the middle of an upload; what had come is swept
        except (TypeError, KeyError, ValueError) as error:
            # What Gradio's routes raise for requests that they make no sense of.
            if begun:
                raise
            logger.info("%s %s", scope["method"], path, exc_info=True)
            reason = f": {error}" if named else ""
            await PlainTextResponse(f"This request cannot be understood{reason}", 400)(
                scope, receive, send
            )
