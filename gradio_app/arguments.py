"""What comes with a request, made safe and its faults readable; for every event of the page."""

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
"""Addresses under which Gradio serves its files, as results have them and agents hand them in."""
ELSEWHERE = re.compile(r"\s*[a-z][a-z0-9+.-]+:", re.IGNORECASE)
"""http:, file:, data: and the like. One letter is a drive."""
UNEXPECTED = (
    "Something went wrong here, through no fault of yours. The reason is in the server's log; other"
    " pictures may well work."
)
_MISSABLE = "mematte_may_be_missing"
logger = logging.getLogger(__name__)


class _Quiet(type(gr.Blocks)):  # type: ignore[misc]  # a class that is only known when this runs
    """Gradio's own metaclass writes .pyi files into the installation for every class."""

    def __new__(mcs, name: str, bases: tuple[type, ...], names: dict[str, Any]) -> _Quiet:
        return type.__new__(mcs, name, bases, names)


class Demo(gr.Blocks, metaclass=_Quiet):
    """Blocks that take files from their own folder only, and whose errors a visitor can read.

    Gradio itself would download what a file argument names in the network, and tells of faults in
    the words of its own classes.
    """

    async def preprocess_data(
        self, block_fn: BlockFunction, inputs: list[Any], *args: Any, **kwargs: Any
    ) -> Any:
        """As Gradio's. Raises gr.Error for arguments that cannot be used."""
        names = [_name(block, i) for i, block in enumerate(block_fn.inputs)]
        needed = [
            name
            for name, block in zip(names, block_fn.inputs, strict=True)
            if not getattr(block, _MISSABLE, False)
        ]
        if len(inputs) < len(needed):
            raise gr.Error(
                f"/{block_fn.api_name}: {len(needed)} values are needed ({', '.join(needed)}), but"
                f" {len(inputs)} came"
            )
        inputs = [
            *inputs,
            *(getattr(block, "value", None) for block in block_fn.inputs[len(inputs) :]),
        ]
        for i, block in enumerate(block_fn.inputs):
            if isinstance(block, gr.File) and inputs[i] is not None:
                inputs[i] = _as_file(inputs[i], names[i])
            inputs[i] = _checked(inputs[i], names[i])
        try:
            return await super().preprocess_data(block_fn, inputs, *args, **kwargs)
        except gr.Error:
            raise
        except Exception as error:
            logger.info("an argument of /%s", block_fn.api_name, exc_info=True)
            raise gr.Error(
                f"/{block_fn.api_name}: one of {', '.join(names)} is not of its kind"
            ) from error

    async def process_api(self, *args: Any, **kwargs: Any) -> Any:
        """As Gradio's. Every exception that comes out is a gr.Error."""
        going_on = False
        try:
            answer = await super().process_api(*args, **kwargs)
            going_on = bool(answer.get("is_generating"))
            return answer
        except gr.Error as error:
            error.print_exception = False  # a visitor's mistake is nothing for the log
            raise
        except MEMatteError as error:
            raise gr.Error(str(error), print_exception=False) from error
        except Exception as error:
            logger.exception("an event failed")
            raise gr.Error(UNEXPECTED, print_exception=False) from error
        finally:
            session = kwargs.get("session_hash")
            if not going_on and session and session == kwargs.get("event_id"):
                # A request without a page. Gradio would keep its copy of every component, some
                # hundred kilobytes each time, since it may come back.
                self.state_holder.session_data.pop(session, None)


def may_be_missing(component: Any) -> None:
    """Let requests leave this and what comes after it away: they were written before it was there.

    Its first value stands for it.
    """
    setattr(component, _MISSABLE, True)


def _name(block: Any, index: int) -> str:
    return str(getattr(block, "label", None) or f"value {index + 1}")


def _as_file(value: Any, name: str) -> Any:
    """An uploaded file's path alone stands for the file."""
    if isinstance(value, str):
        return {"path": value}
    if isinstance(value, dict) and "path" in value:
        return value
    raise gr.Error(
        f'{name}: is no file; upload it by /gradio_api/upload and give {{"path": …}} of what that'
        " answers"
    )


def _checked(value: Any, name: str) -> Any:
    """The same with every file in it checked.

    Raises gr.Error for files that are not in Gradio's folder, wherever else they are.
    """
    if isinstance(value, list | tuple):
        return [_checked(part, name) for part in value]
    if not isinstance(value, dict):
        return value
    if "path" not in value:
        return {key: _checked(part, name) for key, part in value.items()}
    path = _uploaded(value["path"], name)
    # Nothing else of what a client says about its file is needed, and some of it has effects.
    return {"path": str(path), "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}


def _uploaded(path: Any, name: str) -> Path:
    if not isinstance(path, str) or not path:
        raise gr.Error(f"{name}: has no file's path; upload the file and give the path you get")
    ours = OURS.fullmatch(path)
    if ours:
        path = unquote(ours[1])
    elif ELSEWHERE.match(path):
        raise gr.Error(
            f"{name}: is an address, and nothing is fetched here; upload the file and give the path"
            " you get"
        )
    try:
        found = Path(os.path.realpath(path))
        inside = found.is_relative_to(current_folder()) and found.is_file()
    except (OSError, ValueError):
        inside = False
    if not inside:
        raise gr.Error(
            f"{name}: is no file that was uploaded here, or it has been deleted meanwhile; upload"
            " it again"
        )
    return found
