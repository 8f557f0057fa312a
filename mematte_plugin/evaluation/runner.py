"""Running methods over cases, with a cache of results so that a run can resume."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BudgetError, InputError, MEMatteError, OutputError, SettingError
from ..images.encode import write_image
from ..progress import Progress
from .cases import checksum, read
from .layouts import Case
from .methods import Estimate, Method
from .metrics import Errors, errors

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kept:
    """Shares of the tokens that one block kept."""

    block: int
    """Number of the block, from 1."""
    overall: float
    """Share of all tokens, padding included."""
    inside: float
    """Share of the tokens with an unknown pixel."""
    outside: float | None
    """Share of the others; None if there are none."""


@dataclass(frozen=True)
class Result:
    """One method on one case."""

    picture: str
    """The photograph's name."""
    trimap: str
    """Which trimaps."""
    method: str
    """The method's name."""
    settings: Mapping[str, Any]
    """The method's settings."""
    inputs: str
    """Checksum of the case's files."""
    errors: Errors
    """Over the unknown region."""
    seconds: float
    """Duration of the estimate, without reading, loading and measuring."""
    routing: tuple[Kept, ...]
    """Per routed block; empty for methods that do not route."""


@dataclass(frozen=True)
class Failure:
    """A case or method that could not be evaluated."""

    what: str
    """The picture, the method, or both."""
    reason: str
    """Why, in the words of an error message."""


class ResultCache:
    """Results of earlier runs in a JSON-lines file, to which new ones are added at once.

    Args:
        path: the file; created with the first result. None keeps results in memory only.

    Raises InputError for a file that holds something else, OutputError where it cannot be written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._known: dict[str, Result] = {}
        self._unfinished = False
        if path is None:
            return
        if not path.parent.is_dir():
            raise OutputError(f"{path}: its folder does not exist; create it first")
        if not path.exists():
            return
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read ({error}); name another file") from error
        self._unfinished = text != "" and not text.endswith("\n")  # killed while writing
        for line in text.splitlines():
            result = _parsed(line)
            if result is not None:
                self._known[_key(result)] = result
        if text and not self._known:
            raise InputError(f"{path}: holds no results of an evaluation; name another file")

    def find(self, case: Case, method: Method, inputs: str) -> Result | None:
        """The result of the same method with the same settings on the same files."""
        wanted = (case.name, case.trimap_name, method.name, method.settings, inputs)
        return self._known.get(_key_of(*wanted))

    def add(self, result: Result) -> None:
        """Keep a result."""
        self._known[_key(result)] = result
        if self.path is None:
            return
        line = "\n" * self._unfinished + json.dumps(asdict(result)) + "\n"
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            raise OutputError(
                f"{self.path}: cannot be written ({error.strerror or error}); free some space or"
                " name another file"
            ) from error
        self._unfinished = False


def run(
    cases: Sequence[Case],
    methods: Sequence[Method],
    *,
    cache: ResultCache,
    save: Path | None = None,
    progress: Progress | None = None,
) -> Iterator[Result | Failure]:
    """Evaluate every method on every case, yielding each when it is done.

    Args:
        cases: one that cannot be read is a failure and does not stop the others.
        methods: taken one after the other; one that cannot be loaded is a failure.
        cache: results in it are yielded without computing them.
        save: folder for the alphas, METHOD/TRIMAP/NAME.png in 8 bits, replacing older ones.
        progress: called with (done, total, name of the next matte).

    Raises OutputError where results or alphas cannot be written, SettingError for a device or dtype
    that is not there.
    """
    broken: dict[Case, Failure] = {}
    checksums: dict[Case, str] = {}
    total = len(methods) * len(cases)
    for row, method in enumerate(methods):
        for column, case in enumerate(cases):
            if progress is not None:
                progress(row * len(cases) + column, total, f"{method.name}: {case.name}")
            if case in broken:
                yield broken[case]
                continue
            try:
                if case not in checksums:
                    with _raising(_BrokenCaseError):
                        checksums[case] = checksum(case)
                target = _alpha_path(save, method, case)
                result = cache.find(case, method, checksums[case])
                if result is None or (target is not None and not target.exists()):
                    result = _evaluated(case, method, checksums[case], target)
                    cache.add(result)
                yield result
            except _BrokenCaseError as error:
                broken[case] = Failure(f"{case.name} ({case.trimap_name})", str(error))
                yield broken[case]
            except _BrokenMethodError as error:
                yield Failure(method.name, str(error))
                break
            except (OutputError, SettingError):
                raise
            except Exception as error:
                logger.debug("%s failed on %s", method.name, case.name, exc_info=True)
                what = f"{method.name} on {case.name} ({case.trimap_name})"
                yield Failure(what, _reason(error))


class _BrokenCaseError(InputError):
    """The files of a case are at fault, whatever the method."""


class _BrokenMethodError(MEMatteError):
    """A method is at fault, whatever the case."""


@contextmanager
def _raising(kind: type[MEMatteError]) -> Iterator[None]:
    """Say who is at fault."""
    try:
        yield
    except MEMatteError as error:
        raise kind(str(error)) from error


def _evaluated(case: Case, method: Method, inputs: str, target: Path | None) -> Result:
    try:
        method.prepare()
    except SettingError:
        raise
    except Exception as error:
        raise _BrokenMethodError(_reason(error)) from error
    with _raising(_BrokenCaseError):
        files = read(case)
    start = perf_counter()
    try:
        found = method.estimate(files.photo, files.trimap)
    except BudgetError as error:  # another picture may be smaller
        raise MEMatteError(str(error)) from error
    except SettingError as error:  # such as a retention that this network cannot keep
        raise _BrokenMethodError(str(error)) from error
    seconds = perf_counter() - start
    alpha = np.where(files.trimap == 0.5, found.alpha, files.trimap)
    if target is not None:
        _write_alpha(alpha, target)
    return Result(
        picture=case.name,
        trimap=case.trimap_name,
        method=method.name,
        settings=method.settings,
        inputs=inputs,
        errors=errors(alpha, files.truth, files.trimap),
        seconds=seconds,
        routing=kept_shares(found, files.trimap),
    )


def kept_shares(found: Estimate, trimap: NDArray[Any]) -> tuple[Kept, ...]:
    """For each routed block, the shares of kept tokens inside and outside the unknown band.

    trimap: (H, W) of 0, 0.5 and 1, not padded.
    """
    shares = []
    for block, keep in found.keep.items():
        patch = found.patch
        padded = np.zeros((keep.shape[0] * patch, keep.shape[1] * patch), bool)
        padded[: trimap.shape[0], : trimap.shape[1]] = trimap == 0.5
        unknown = padded.reshape(keep.shape[0], patch, keep.shape[1], patch).any((1, 3))
        outside = float(keep[~unknown].mean()) if not unknown.all() else None
        shares.append(Kept(block, float(keep.mean()), float(keep[unknown].mean()), outside))
    return tuple(shares)


# ---- files ---------------------------------------------------------------------------------------


def _alpha_path(folder: Path | None, method: Method, case: Case) -> Path | None:
    if folder is None:
        return None
    parts = (re.sub(r"[^\w.+@-]+", "_", name) for name in (method.name, case.trimap_name))
    return folder.joinpath(*parts, f"{case.name}.png")


def _write_alpha(alpha: NDArray[Any], target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{target.parent}: cannot be made ({error.strerror or error}); choose another folder"
        ) from error
    write_image(target, alpha, bits=8, overwrite=True)


def _key(result: Result) -> str:
    return _key_of(result.picture, result.trimap, result.method, result.settings, result.inputs)


def _key_of(*parts: Any) -> str:
    return json.dumps(parts, sort_keys=True)


def _parsed(line: str) -> Result | None:
    try:
        values = json.loads(line)
        values["errors"] = Errors(**values["errors"])
        values["routing"] = tuple(Kept(**one) for one in values["routing"])
        return Result(**values)
    except (ValueError, TypeError, KeyError):
        return None


def _reason(error: Exception) -> str:
    if isinstance(error, MEMatteError):
        return str(error)
    if isinstance(error, MemoryError):
        return "not enough memory; leave the method or the picture out"
    return f"unexpected {type(error).__name__}: {' '.join(str(error).split())}"
