"""Prints a ComfyUI server's messages to one client as lines of JSON: ``python listen.py URL``.

Run by ComfyUI's own interpreter, since that is the one sure to have aiohttp.
"""

from __future__ import annotations

import asyncio
import sys

import aiohttp


async def main(url: str) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        async for message in socket:
            if message.type == aiohttp.WSMsgType.TEXT:
                print(message.data, flush=True)  # noqa: T201


asyncio.run(main(sys.argv[1]))
