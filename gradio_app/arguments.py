"""Checks the arguments of every event, and words its errors for visitors."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import gradio as gr

from mematte_plugin import MEMatteError

from .files import current_folder

if TYPE_CHECKING:
    from gradio.block_function import BlockFunction

OURS = re.compile(r"https?://[^/]+/(?:.*/)?gradio_api/file=(.+)")
"""The address under which Gradio serves a file: results have it, and agents pass it on."""
ELSEWHERE = re.compile(r"\s*[a-z][a-z0-9+.-]+:", re.IGNORECASE)
"""Any other address: http:, file:, data: and so on. A single letter is a Windows drive."""
UNEXPECTED = (
    "Something went wrong on the server, and it is not your fault. The server's log has the reason;"
    " other pictures may well work."
)
logger = logging.getLogger(__name__)


class Demo(gr.Blocks):
    """Blocks that read files from their own folder only, and whose errors a visitor understands.

    Gradio itself would download a file argument that is an address, and words errors in terms of
    its own classes.
    """

    async def preprocess_data(
        self, block_fn: BlockFunction, inputs: list[Any], *args: Any, **kwargs: Any
    ) -> Any:
        """As Gradio's; arguments left out at the end take their defaults.

        Raises gr.Error for a file that was not uploaded here, and for a value of the wrong type.
        """
        blocks = block_fn.inputs
        values = [*inputs, *(getattr(block, "value", None) for block in blocks[len(inputs) :])]
        checked = [
            _checked(value, str(getattr(block, "label", "value")))
            for value, block in zip(values, blocks, strict=False)
        ]
        try:
            return await super().preprocess_data(block_fn, checked, *args, **kwargs)
        except gr.Error:
            raise
        except Exception as error:
            logger.info("an argument of /%s", block_fn.api_name, exc_info=True)
            raise gr.Error(f"/{block_fn.api_name}: an argument is of the wrong type") from error

    async def process_api(self, *args: Any, **kwargs: Any) -> Any:
        """As Gradio's, but raises nothing other than gr.Error."""
        goes_on = False
        try:
            answer = await super().process_api(*args, **kwargs)
            goes_on = bool(answer.get("is_generating"))
            return answer
        except gr.Error as error:
            error.print_exception = False  # a visitor's mistake does not belong in the log
            raise
        except MEMatteError as error:
            raise gr.Error(str(error), print_exception=False) from error
        except Exception as error:
            logger.exception("an event failed")
            raise gr.Error(UNEXPECTED, print_exception=False) from error
        finally:
            session = kwargs.get("session_hash")
            if not goes_on and session and session == kwargs.get("event_id"):
                # A request without a page. Gradio would keep its copy of every component, some
                # hundred kilobytes for each request, in case the client returns.
                self.state_holder.session_data.pop(session, None)


def uploaded_file(path: Any, name: str) -> Path:
    """The uploaded file that a request means by a path or by the address of our own.

    name: of the argument, for messages.

    Raises gr.Error for every file outside Gradio's folder.
    """
    if not isinstance(path, str) or not path:
        raise gr.Error(f"{name}: the file's path is missing; upload the file and pass its path")
    ours = OURS.fullmatch(path)
    if ours:
        path = unquote(ours[1])
    elif ELSEWHERE.match(path):
        raise gr.Error(
            f"{name}: is an address, and nothing is fetched here; upload the file and pass its path"
        )
    try:
        found = Path(os.path.realpath(path))
        inside = found.is_relative_to(current_folder()) and found.is_file()
    except (OSError, ValueError):
        inside = False
    if not inside:
        raise gr.Error(
            f"{name}: is not a file that was uploaded here, or it has been deleted since; upload it"
            " again"
        )
    return found


def _checked(value: Any, name: str) -> Any:
    """The same value, every file in it checked and reduced to what is needed of it."""
    if isinstance(value, list | tuple):
        return [_checked(part, name) for part in value]
    if not isinstance(value, dict):
        return value
    if "path" not in value:
        return {key: _checked(part, name) for key, part in value.items()}
    path = uploaded_file(value["path"], name)
    # Some of what a client may add has effects, such as is_stream.
    return {"path": str(path), "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}
