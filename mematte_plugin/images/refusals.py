"""What decoders say of files that they refuse, in words for users; our own bugs pass through."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import InputError, MEMatteError, MEMatteWarning

FORMATS_PIP = 'pip install "mematte-plugin[formats]"'
"""Installs the readers of TIFF's rarer compressions, HEIC, deep AVIF, JPEG XL and camera raw."""

_UNSUPPORTED = re.compile(
    r"(?i)unsupported|not (supported|implemented|available|a known)|requires the '|"
    r"unknown (data|raw|pixel|compression)"
)
_HERE = str(Path(__file__).parents[1])


@contextmanager
def refusals(fmt: str, name: str) -> Iterator[None]:
    """Turns what decoders raise (OSError, SyntaxError, struct.error, …) into an InputError."""
    try:
        yield
    except (MEMatteError, MEMatteWarning):  # the warning: where users turn warnings into errors
        raise
    except MemoryError as error:
        raise InputError(f"{name}: not enough memory to decode it; use a smaller copy") from error
    except Exception as error:
        if _is_bug(error):
            raise
        if is_unsupported(error):
            raise InputError(
                f"{name}: is a picture ({fmt}) of a kind that cannot be read ({short(error)});"
                " convert it to PNG or TIFF"
            ) from error
        kind = f"{fmt} file".lstrip()
        raise InputError(
            f"{name}: the {kind} is damaged or cut off ({short(error)}); copy or export it again"
        ) from error


class IgnoreDamage:
    """Context for metadata: if it is broken, the photo must still be read."""

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        return isinstance(error, Exception) and not _is_bug(error)


def library(module: str, name: str, kind: str, package: str, otherwise: str = "") -> Any:
    """The module that reads a kind of file. Raises InputError, which names the package."""
    try:
        return import_module(module)
    except ImportError as error:
        raise InputError(
            f"{name}: is a {kind}; reading it needs {package}: {FORMATS_PIP}{otherwise}"
        ) from error


def is_unsupported(error: BaseException) -> bool:
    """The decoder does not know this kind of file, which need not be damaged."""
    return isinstance(error, NotImplementedError) or bool(_UNSUPPORTED.search(str(error)))


def short(error: BaseException) -> str:
    """What a decoder says, for the middle of a sentence."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 120 else text[:117] + "..."


def _is_bug(error: Exception) -> bool:
    """A slip in this package; damaged files make decoders raise the same types."""
    if not isinstance(error, AttributeError | NameError | AssertionError | ImportError):
        return False
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame is not None and frame.tb_frame.f_code.co_filename.startswith(_HERE)
