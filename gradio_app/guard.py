"""ASGI middleware that refuses requests before Gradio handles them."""

from __future__ import annotations

import logging
import re

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .settings import Settings

ENDPOINTS = ("matte", "subject", "trimap", "plan")
"""The endpoints for programs."""
NAMED = re.compile(r"/gradio_api/(?:call/v2|call|run|api)/([^/]+)")
"""Routes that call an endpoint by its name."""
ELSEWHERE = re.compile(r"/file=\s*[a-z][a-z0-9+.-]+:", re.IGNORECASE)
"""A route that would pass on the files of other servers."""
UNUSED = re.compile(r"/gradio_api/(process_recording|deep_link|component_server)")
"""Routes that store data for features that this page does not have."""
STATISTICS = "/monitoring/summary"
"""Asked by "Use via API", which must not see an error; there are no public statistics."""
JSON_BYTES = 32_000_000
"""Largest body other than an upload. Agents send pictures in it."""
FORM_BYTES = 1_000_000
"""What a form may need besides its file."""

logger = logging.getLogger(__name__)


class Guard:
    """Limits bodies and refuses addresses, unknown endpoints and requests that make no sense.

    Gradio limits each file of an upload, but not how many there are, nor any other body.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or pass it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path: str = scope["path"]
        limit, too_large = self._limit(path)
        length = Headers(scope=scope).get("content-length", "")
        answer = _answer(path)
        if answer is None and length.isdigit() and int(length) > limit:
            answer = PlainTextResponse(too_large, 413)
        if answer is not None:
            await answer(scope, receive, send)
            return
        received, answering = 0, False

        async def limited() -> Message:
            nonlocal received
            part = await receive()
            received += len(part.get("body", b""))
            if received > limit:
                raise HTTPException(413, too_large)
            return part

        async def watched(part: Message) -> None:
            nonlocal answering
            answering = True
            await send(part)

        try:
            await self.app(scope, limited, watched)
        except ClientDisconnect:
            pass  # in the middle of an upload; the sweep deletes what had arrived
        except (TypeError, KeyError, ValueError) as error:
            # Gradio's routes raise these for requests that make no sense to them.
            if answering:
                raise
            logger.info("%s %s", scope["method"], path, exc_info=True)
            reason = f": {error}" if NAMED.match(path) else ""
            answer = PlainTextResponse(f"This request cannot be understood{reason}", 400)
            await answer(scope, receive, send)

    def _limit(self, path: str) -> tuple[int, str]:
        """The most bytes of a body, and what refuses a larger one."""
        if path.rstrip("/").endswith("/upload"):
            message = f"Larger than the {self.settings.max_mb:g} MB that may be uploaded here."
            return self.settings.max_bytes + FORM_BYTES, message
        return JSON_BYTES, (
            f"Larger than {JSON_BYTES / 1e6:g} MB; upload pictures as files, by /gradio_api/upload."
        )


def _answer(path: str) -> Response | None:
    """The answer to a request that Gradio must not see."""
    if ELSEWHERE.search(path):
        return PlainTextResponse("Nothing is fetched from other addresses here.", 403)
    if path.endswith(STATISTICS):
        return JSONResponse({"functions": {}})
    if UNUSED.search(path):
        return PlainTextResponse("Not used here.", 404)
    named = NAMED.match(path)
    if named and named[1] not in ENDPOINTS:
        names = ", ".join(f"/{name}" for name in ENDPOINTS)
        return PlainTextResponse(f"There is no such endpoint; choose {names}.", 404)
    return None
