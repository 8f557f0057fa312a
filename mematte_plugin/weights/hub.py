"""Downloads from the Hugging Face Hub, through huggingface_hub: its cache, tokens, environment.

What this file adds is the choice of files, progress, cancelling, and errors that say what to do.
"""

from __future__ import annotations

import atexit
import errno
import inspect
import logging
from concurrent.futures import wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import WeightsError
from ..progress import Progress, in_thread, watched
from .catalog import Entry
from .files import CONFIG, MODEL, PREPROCESSOR, README, WEIGHT_NAMES, ModelFiles, read_json

logger = logging.getLogger(__name__)

LINGER = 3
"""Seconds to wait at exit for an abandoned download to clean up."""
MAIN = "main"
"""The usual revision."""
OURS = "a MEMatte or ViTMatte repository (config.json with model.safetensors or pytorch_model.bin)"


def endpoint() -> str:
    """The Hub's address: HF_ENDPOINT, or huggingface.co."""
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def cached(repo_id: str, filename: str, revision: str) -> Path | None:
    """The path of a file in the Hub's cache, or None. No connection."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo_id, filename, revision=revision)
    return Path(found) if isinstance(found, str) else None


def download(
    repo_id: str,
    *,
    revision: str,
    progress: Progress | None = None,
    entry: Entry | None = None,
    folder: Path | None = None,
) -> ModelFiles:
    """The files of a model, from this machine if they are there, else from the Hub.

    Args:
        repo_id: ``owner/name``.
        revision: branch, tag or commit.
        progress: called in this thread, before the first byte and then about every 0.2 seconds.
            What it raises ends the wait at once; complete files are kept for the next time.
        entry: the catalog's entry for it.
        folder: files that are not in the Hub's cache are stored in a sub-folder of this one, and
            found there again: NAME for a model of the catalog, else OWNER--NAME; with @REVISION
            unless that is "main".

    Raises WeightsError if there is no such repository or file, no permission, no connection or no
    space.
    """
    target = _Source.within(folder, repo_id, revision, entry)
    for source in (target, _Source(repo_id, revision, entry)):
        if files := source.files():
            return files
    config = _get(target, CONFIG, progress)
    preprocessor = _get(target, PREPROCESSOR, progress) if _is_vitmatte(config) else None
    return ModelFiles(_get_weights(target, progress), config, preprocessor, entry)


def get_file(
    repo_id: str,
    filename: str,
    *,
    revision: str = MAIN,
    progress: Progress | None = None,
    entry: Entry | None = None,
    expected: str = "",
    together: tuple[str, ...] = (),
) -> Path:
    """One file of a repository on the Hub, from its cache if it is there.

    expected: what kind of repository has such a file, for the message where this one has none.
    together: all files that its use needs, for the message that says how to fetch them by hand.
    The rest, and what it raises: as for `download`; MissingFileError if only the file is missing.
    """
    source = _Source(
        repo_id, revision, entry, expected=expected or OURS, together=together or (filename,)
    )
    return _get(source, filename, progress)


def present(entry: Entry, folder: Path | None) -> Path | None:
    """The weights of a matting model if they are on this machine; see `download`."""
    target = _Source.within(folder, entry.repo_id, MAIN, entry)
    return target.weights() or _Source(entry.repo_id, MAIN, entry).weights()


def download_card(repo_id: str, *, revision: str) -> Path | None:
    """A repository's README.md, cached or from the Hub; None if it cannot be fetched."""
    try:
        return _get(_Source(repo_id, revision, None), README, None)
    except WeightsError:
        return None


@dataclass(frozen=True)
class _Source:
    """A model on the Hub, and where its files are kept on this machine."""

    repo_id: str
    revision: str
    entry: Entry | None
    folder: Path | None = None
    """Folder for the files; None: the Hub's cache."""
    expected: str = OURS
    """What kind of repository this should be."""
    together: tuple[str, ...] = ()
    """The files that its use needs; empty for those of our networks."""

    @classmethod
    def within(
        cls, folder: Path | None, repo_id: str, revision: str, entry: Entry | None
    ) -> _Source:
        """The model in a sub-folder of its own; in the Hub's cache without a folder."""
        name = entry.name if entry else repo_id.replace("/", "--")
        if revision != MAIN:
            name += f"@{revision.replace('/', '--')}"
        return cls(repo_id, revision, entry, None if folder is None else folder / name)

    @property
    def name(self) -> str:
        return self.entry.name if self.entry else self.repo_id

    def find(self, filename: str) -> Path | None:
        """The file, or None if it is not here yet. No connection."""
        if self.folder is None:
            return cached(self.repo_id, filename, self.revision)
        path = self.folder / filename
        return path if path.is_file() else None

    def weights(self) -> Path | None:
        return self.find(WEIGHT_NAMES[0]) or self.find(WEIGHT_NAMES[1])

    def files(self) -> ModelFiles | None:
        """All files of the model; None if one is missing."""
        config, weights, preprocessor = self.find(CONFIG), self.weights(), self.find(PREPROCESSOR)
        if config is None or weights is None:
            return None
        if not _is_vitmatte(config):
            return ModelFiles(weights, config, None, self.entry)
        if preprocessor is None:
            return None
        return ModelFiles(weights, config, preprocessor, self.entry)

    @property
    def by_hand(self) -> str:
        """What to download in a browser instead."""
        base = f"{endpoint()}/{self.repo_id}/resolve/{self.revision}"
        condition = "" if self.entry else " (if it exists)"
        names = self.together or (CONFIG, f"{PREPROCESSOR}{condition}", MODEL)
        *most, last = (f"{base}/{name}" for name in names)
        files = f"download {', '.join(most)}{' and ' if most else ''}{last} into"
        if self.folder is not None:
            return f"{files} {self.folder}"
        return f"{files} one folder and give that folder instead of the name"


def _is_vitmatte(config: Path) -> bool:
    return read_json(config).get("model_type") == "vitmatte"


def _get_weights(source: _Source, progress: Progress | None) -> Path:
    if weights := source.weights():
        return weights
    try:
        return _get(source, WEIGHT_NAMES[0], progress)
    except MissingFileError:
        return _get(source, WEIGHT_NAMES[1], progress)


class MissingFileError(WeightsError):
    """The repository exists, the file does not."""


def _get(source: _Source, filename: str, progress: Progress | None) -> Path:
    if path := source.find(filename):
        return path
    if source.folder is None:
        _check_home(source.name)
    logger.info("downloading %s of %s from %s", filename, source.repo_id, endpoint())
    transfer = _Transfer()

    def tick() -> None:
        if progress is not None:
            progress(transfer.done, transfer.total, f"{source.name}: {filename}")

    tick()
    # In another thread: connecting may take long, and data may stop coming.
    future = in_thread(lambda: _fetch(source, filename, transfer))
    try:
        path = watched(future, tick)
    except BaseException as error:
        transfer.abandoned = True
        if not future.done():
            atexit.register(wait, [future], LINGER)
        # What the callback raised, an interrupt for example, is passed on as it is.
        if error is transfer.failure and isinstance(error, hub_errors()):
            raise _explained(error, source, filename) from error
        raise
    transfer.done = transfer.total = path.stat().st_size
    tick()
    return path


def _check_home(name: str) -> None:
    """Without a home folder the Hub's cache would be a folder named "~" in the current one."""
    from huggingface_hub import constants

    if str(constants.HF_HUB_CACHE).startswith("~"):
        raise WeightsError(
            f"{name}: there is no home folder to keep downloads in; set HF_HOME to a writable"
            " folder"
        )


class _Transfer:
    """The state of a download: written by the thread that downloads, read by the one that waits."""

    done = 0
    """Bytes."""
    total = 0
    """Bytes in all, 0 while unknown."""
    failure: BaseException | None = None
    """What ended it."""
    abandoned = False
    """The caller no longer waits for it."""


class _AbandonedError(Exception):
    """Ends an abandoned download."""


def _fetch(source: _Source, filename: str, transfer: _Transfer) -> Path:
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_download, hf_hub_url

    options: dict[str, Any] = {} if source.folder is None else {"local_dir": source.folder}
    if "tqdm_class" in inspect.signature(hf_hub_download).parameters:  # newer versions only
        options["tqdm_class"] = _bar_class(transfer)
    absent = (
        errors.RepositoryNotFoundError,
        errors.RevisionNotFoundError,
        errors.EntryNotFoundError,
    )
    try:
        # Without a connection the download would retry for half a minute first, and for a missing
        # file it would leave an empty folder.
        try:
            get_hf_file_metadata(hf_hub_url(source.repo_id, filename, revision=source.revision))
        except absent:
            raise
        except errors.HfHubHTTPError:
            pass  # some other answer: the download deals with it
        if transfer.abandoned:
            raise _AbandonedError
        return Path(hf_hub_download(source.repo_id, filename, revision=source.revision, **options))
    except BaseException as error:
        transfer.failure = error
        raise


def _bar_class(transfer: _Transfer) -> Any:
    """A progress bar that shows nothing and notes how far the download is."""
    from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]

    class Bar(tqdm):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **{**options, "disable": True})  # type: ignore[no-untyped-call]
            transfer.total = int(self.total or 0)

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            transfer.done, transfer.total = int(self.n), int(max(self.total or 0, self.n))
            if transfer.abandoned:
                raise _AbandonedError

        def update_transfer(self, *_: Any, **__: Any) -> None:
            """With this, Xet reports through this bar alone instead of two."""

        set_transfer_postfix_str = update_transfer

    return Bar


# ---- errors --------------------------------------------------------------------------------------


def hub_errors() -> tuple[type[Exception], ...]:
    """Everything that huggingface_hub raises on purpose, whichever HTTP client it is built on."""
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError

    transport = [b for b in HfHubHTTPError.__bases__ if issubclass(b, Exception)]
    return (OSError, EntryNotFoundError, HFValidationError, *transport)


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an error carries, if any."""
    return getattr(getattr(error, "response", None), "status_code", None)


def one_line(error: BaseException) -> str:
    """An error's message in one line of at most 200 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:199] + "…"


def _explained(error: Exception, source: _Source, filename: str) -> WeightsError:
    """What went wrong, with the remedy."""
    from huggingface_hub import errors

    repo = f"{endpoint()}/{source.repo_id}"
    local = isinstance(error, errors.LocalEntryNotFoundError)
    if isinstance(error, errors.EntryNotFoundError) and not local:
        return MissingFileError(
            f"{source.name}: {repo} has no {filename} at {source.revision}; choose "
            f"{source.expected}"
        )
    missing = f"{filename} is not in {source.folder or 'the cache'}"
    cause = error.__cause__ if local and error.__cause__ is not None else error
    if isinstance(error, errors.GatedRepoError):
        fault = f"{repo} is gated; accept its licence there, then run `hf auth login` or set"
        fault += " HF_TOKEN"
    elif isinstance(error, errors.RepositoryNotFoundError):
        fault = f"{repo} does not exist or is private, and there is no such folder here; check the"
        fault += " spelling, or run `hf auth login` if it is yours"
    elif isinstance(error, errors.RevisionNotFoundError):
        fault = f"{repo} has no revision {source.revision!r}; look at its branches and tags"
    elif isinstance(error, errors.HFValidationError):
        fault = f"not a valid Hub id ({one_line(error)}); give owner/name"
    elif (status := status_of(error)) in {401, 403}:
        fault = f"{repo} refuses access ({status}); run `hf auth login` with a token that may read"
        fault += " it"
    elif isinstance(cause, errors.OfflineModeIsEnabled):
        fault = f"{missing} and HF_HUB_OFFLINE forbids downloading; unset it, or {source.by_hand}"
    elif disk := _disk_problem(error, source.folder):
        fault = f"{filename} cannot be stored: {disk}"
    else:
        fault = f"{missing} and downloading it from {endpoint()} failed ({one_line(cause)}); try"
        fault += f" again, or {source.by_hand}"
    return WeightsError(f"{source.name}: {fault}")


def _disk_problem(error: Exception, folder: Path | None) -> str | None:
    from huggingface_hub import constants

    number = getattr(error, "errno", None)
    place = folder or constants.HF_HUB_CACHE
    if number in {errno.ENOSPC, errno.EDQUOT}:
        return f"no space left below {place}; free some{'' if folder else ', or move HF_HOME'}"
    if number in {errno.EACCES, errno.EPERM, errno.EROFS}:
        remedy = "change its rights" if folder else "set HF_HOME to a folder that is"
        return f"{place} is not writable; {remedy}"
    return None
