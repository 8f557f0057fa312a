"""The Hugging Face Hub, through huggingface_hub alone: its cache, its tokens, its environment.

What this file adds is the choice of files and errors that say what to do.
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

from ..errors import OutputError, WeightsError
from ..progress import Progress, in_thread, watched
from .catalog import Entry
from .json_file import read_json

logger = logging.getLogger(__name__)


_CONFIG = "config.json"
_PREPROCESSOR = "preprocessor_config.json"
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
LINGER = 3
"""Seconds that the end of the program waits for a download that was given up to tidy up."""
_UPLOADED = ["config.json", "model.safetensors", "README.md"]


@dataclass(frozen=True)
class HubFiles:
    """The files of a model on this machine."""

    weights: Path
    """model.safetensors or pytorch_model.bin."""
    config: Path
    """config.json."""
    preprocessor: Path | None
    """preprocessor_config.json, where the repository is one of transformers."""


@dataclass(frozen=True)
class _Source:
    """What is being fetched, for messages."""

    repo_id: str
    revision: str
    entry: Entry | None
    target: Path | None = None
    """Folder for the files; None: the Hub's cache."""

    @property
    def name(self) -> str:
        return self.entry.name if self.entry else self.repo_id

    @property
    def by_hand(self) -> str:
        """How to do without the connection."""
        base = f"{endpoint()}/{self.repo_id}/resolve/{self.revision}"
        condition = "" if self.entry else " (if it exists)"
        files = (
            f"download {base}/{_CONFIG}, {base}/{_PREPROCESSOR}{condition} and "
            f"{base}/{_WEIGHTS[0]} into"
        )
        if self.target is not None:
            return f"{files} {self.target}"
        return f"{files} one folder and give that folder instead of the name"

    def find(self, filename: str) -> Path | None:
        """The file where it is to be; None where it is not there yet. No connection."""
        if self.target is None:
            return cached(self.repo_id, filename, self.revision)
        path = self.target / filename
        return path if path.is_file() else None


def endpoint() -> str:
    """The Hub's address: HF_ENDPOINT, or huggingface.co."""
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def cached(repo_id: str, filename: str, revision: str) -> Path | None:
    """A file's place in the Hub's cache; None where it is not there. No connection."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo_id, filename, revision=revision)
    return Path(found) if isinstance(found, str) else None


def place(folder: Path, repo_id: str, revision: str, entry: Entry | None) -> Path:
    """Where a model from the Hub is kept in a folder of models.

    NAME for one of the catalog, else OWNER--NAME; with @REVISION where that is not the usual one.
    """
    usual = entry.revision if entry else "main"
    name = entry.name if entry else repo_id.replace("/", "--")
    return folder / (name if revision == usual else f"{name}@{revision.replace('/', '--')}")


def download(
    repo_id: str,
    *,
    revision: str,
    progress: Progress | None = None,
    entry: Entry | None = None,
    folder: Path | None = None,
) -> HubFiles:
    """The files of a repository, from where they are already, else from the Hub.

    Args:
        repo_id: ``owner/name``.
        revision: branch, tag or commit.
        progress: called in this thread, before the first byte and then about every 0.2 seconds.
            What it raises ends the wait at once; whole files are kept for the next time.
        entry: what the catalog knows about it.
        folder: files that are not in the Hub's cache are stored in a folder of their own in here,
            see `place`, and found there again.

    Raises:
        WeightsError: no such repository or file, no permission, no connection, no space.
    """
    target = None if folder is None else place(folder, repo_id, revision, entry)
    source = _Source(repo_id, revision, entry, target)
    if target is not None:
        for kept in (source, _Source(repo_id, revision, entry)):
            if files := _complete(kept):
                return files
    config = _get(source, _CONFIG, progress)
    preprocessor = _get(source, _PREPROCESSOR, progress) if _is_vitmatte(config) else None
    return HubFiles(_get_weights(source, progress), config, preprocessor)


def present(repo_id: str, revision: str, entry: Entry | None, folder: Path | None) -> Path | None:
    """The weights of a repository where they are on this machine; see `download`."""
    target = None if folder is None else place(folder, repo_id, revision, entry)
    for source in (_Source(repo_id, revision, entry, target), _Source(repo_id, revision, entry)):
        if path := next((p for n in _WEIGHTS if (p := source.find(n))), None):
            return path
    return None


def download_weights(repo_id: str, *, revision: str, progress: Progress | None = None) -> Path:
    """A repository's model.safetensors, or its pytorch_model.bin, cached or from the Hub.

    Raises WeightsError as `download`.
    """
    return _get_weights(_Source(repo_id, revision, None), progress)


def download_card(repo_id: str, *, revision: str) -> Path | None:
    """A repository's README.md, cached or from the Hub; None where there is no way to one."""
    try:
        return _get(_Source(repo_id, revision, None), "README.md", None)
    except WeightsError:
        return None


def _is_vitmatte(config: Path) -> bool:
    return read_json(config).get("model_type") == "vitmatte"


def _complete(source: _Source) -> HubFiles | None:
    """All files of the model; None where one is missing."""
    config, preprocessor = source.find(_CONFIG), source.find(_PREPROCESSOR)
    weights = next((path for name in _WEIGHTS if (path := source.find(name))), None)
    if config is None or weights is None:
        return None
    if not _is_vitmatte(config):
        return HubFiles(weights, config, None)
    return None if preprocessor is None else HubFiles(weights, config, preprocessor)


def _get_weights(source: _Source, progress: Progress | None) -> Path:
    for name in _WEIGHTS:
        if weights := source.find(name):
            return weights
    try:
        return _get(source, _WEIGHTS[0], progress)
    except MissingFileError:
        return _get(source, _WEIGHTS[1], progress)


class MissingFileError(WeightsError):
    """The repository exists, the file does not."""


def _get(source: _Source, filename: str, progress: Progress | None) -> Path:
    if path := source.find(filename):
        return path
    if source.target is None:
        _check_home(source.name)
    logger.info("downloading %s of %s from %s", filename, source.repo_id, endpoint())
    stage, transfer = f"{source.name}: {filename}", _Transfer()

    def tick() -> None:
        if progress is not None:
            progress(transfer.done, transfer.total, stage)

    tick()
    # In another thread: connecting may take long, and data may stop coming.
    future = in_thread(lambda: _fetch(source, filename, transfer))
    try:
        path = watched(future, tick)
    except BaseException as error:
        transfer.given_up = True
        if not future.done():
            atexit.register(wait, [future], LINGER)
        if error is transfer.failure and isinstance(error, _hub_errors()):
            raise _explained(error, source, filename) from error
        raise  # also the callback's own, an interrupt for example
    transfer.done = transfer.total = path.stat().st_size
    tick()
    return path


def _check_home(name: str) -> None:
    """Where there is no home folder the Hub's cache would be a folder named "~" right here."""
    from huggingface_hub import constants

    if str(constants.HF_HUB_CACHE).startswith("~"):
        raise WeightsError(
            f"{name}: there is no home folder to keep downloads in; set HF_HOME to a folder that"
            " can be written"
        )


class _Transfer:
    """How far a download is: written by the thread that loads, read by the one that waits."""

    done = 0
    """Bytes."""
    total = 0
    """Bytes in all, 0 while unknown."""
    failure: BaseException | None = None
    """What ended it."""
    given_up = False
    """Nobody waits any more."""


class _GivenUpError(Exception):
    """Ends a download that nobody waits for."""


def _fetch(source: _Source, filename: str, transfer: _Transfer) -> Path:
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_download, hf_hub_url

    options: dict[str, Any] = {} if source.target is None else {"local_dir": source.target}
    if "tqdm_class" in inspect.signature(hf_hub_download).parameters:
        options["tqdm_class"] = _bar_class(transfer)
    absent = (
        errors.RepositoryNotFoundError,
        errors.RevisionNotFoundError,
        errors.EntryNotFoundError,
    )
    try:
        # Without a connection the download would retry for half a minute before it says so, and
        # for what is not there it would leave an empty folder.
        try:
            get_hf_file_metadata(hf_hub_url(source.repo_id, filename, revision=source.revision))
        except absent:
            raise
        except errors.HfHubHTTPError:
            pass  # some other answer: the download deals with it
        if transfer.given_up:
            raise _GivenUpError
        return Path(hf_hub_download(source.repo_id, filename, revision=source.revision, **options))
    except BaseException as error:
        transfer.failure = error
        raise


def _hub_errors() -> tuple[type[Exception], ...]:
    """Everything that huggingface_hub raises on purpose, whichever HTTP client it is built on."""
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError

    transport = [b for b in HfHubHTTPError.__bases__ if issubclass(b, Exception)]
    return (OSError, EntryNotFoundError, HFValidationError, *transport)


def _bar_class(transfer: _Transfer) -> Any:
    """A stand-in for tqdm that notes how far it is, with what huggingface_hub uses of tqdm."""

    class Bar:
        def __init__(self, *_: Any, total: float | None = None, initial: float = 0, **__: Any):
            self.n = initial
            self.total = total
            transfer.total = int(total or 0)

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            transfer.total = int(max(self.total or 0, self.n))
            transfer.done = int(self.n)
            if transfer.given_up:
                raise _GivenUpError

        def _nothing(self, *_: Any, **__: Any) -> None:
            pass

        def __enter__(self) -> Bar:
            return self

        __exit__ = close = refresh = set_postfix_str = set_description = _nothing
        # With these two, Xet transfers are reported through this one bar instead of two.
        update_transfer = set_transfer_postfix_str = _nothing

    return Bar


def _explained(error: Exception, source: _Source, filename: str) -> WeightsError:
    """One line for what went wrong, with the remedy."""
    from huggingface_hub import errors

    name, repo = source.name, f"{endpoint()}/{source.repo_id}"
    status = getattr(getattr(error, "response", None), "status_code", None)
    local = isinstance(error, errors.LocalEntryNotFoundError)
    if isinstance(error, errors.EntryNotFoundError) and not local:
        return MissingFileError(
            f"{name}: {repo} has no {filename} at {source.revision}; choose a MEMatte or ViTMatte "
            "repository (config.json with model.safetensors or pytorch_model.bin)"
        )
    cause = error.__cause__ if local and error.__cause__ is not None else error
    disk = _disk_problem(error, source.target)
    missing = f"{filename} is not in {source.target or 'the cache'}"
    answers = (  # the first that applies
        (
            isinstance(error, errors.GatedRepoError),
            f"{repo} is gated; accept its licence there, then run `hf auth login` or set HF_TOKEN",
        ),
        (
            isinstance(error, errors.RepositoryNotFoundError),
            f"{repo} does not exist or is private, and there is no such folder here; check the "
            "spelling, or run `hf auth login` if it is yours",
        ),
        (
            isinstance(error, errors.RevisionNotFoundError),
            f"{repo} has no revision {source.revision!r}; look at its branches and tags",
        ),
        (
            isinstance(error, errors.HFValidationError),
            f"not a valid Hub id ({_one_line(error)}); give owner/name",
        ),
        (
            status in {401, 403},
            f"{repo} refuses access ({status}); run `hf auth login` with a token that may read it",
        ),
        (
            isinstance(cause, errors.OfflineModeIsEnabled),
            f"{missing} and HF_HUB_OFFLINE forbids downloading; unset it, or {source.by_hand}",
        ),
        (disk is not None, f"{filename} cannot be stored: {disk}"),
        (
            True,
            f"{missing} and downloading it from {endpoint()} failed ({_one_line(cause)}); try "
            f"again, or {source.by_hand}",
        ),
    )
    return WeightsError(f"{name}: {next(text for applies, text in answers if applies)}")


def _disk_problem(error: Exception, target: Path | None) -> str | None:
    from huggingface_hub import constants

    number = getattr(error, "errno", None)
    place = target or constants.HF_HUB_CACHE
    if number in {errno.ENOSPC, errno.EDQUOT}:
        return f"no space left below {place}; free some{'' if target else ', or move HF_HOME'}"
    if number in {errno.EACCES, errno.EPERM, errno.EROFS}:
        remedy = "change its rights" if target else "set HF_HOME to a folder that is"
        return f"{place} is not writable; {remedy}"
    return None


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:199] + "…"


def push_to_hub(
    directory: str | Path, repo_id: str, *, private: bool = False, token: str | None = None
) -> str:
    """Publish a model folder (see `save_network`) and return its address.

    The repository is made where it does not exist; existing files are replaced in one commit.

    Args:
        directory: holds config.json, model.safetensors and README.md.
        repo_id: ``owner/name``.
        private: for a repository that is made now.
        token: default is the one of `hf auth login` or HF_TOKEN.

    Raises:
        WeightsError: the folder does not hold a network that loads.
        OutputError: the Hub does not take it.
    """
    from huggingface_hub import HfApi

    from .load import load_network

    load_network(Path(directory))  # nothing is published that does not load
    missing = [n for n in _UPLOADED if not (Path(directory) / n).is_file()]
    if missing:
        raise WeightsError(
            f"{directory} has no {', '.join(missing)}; make the folder with `mematte convert`"
        )
    api = HfApi(token=token)
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repo_id,
            folder_path=directory,
            allow_patterns=_UPLOADED,
            commit_message="Upload with mematte-plugin",
        )
    except _hub_errors() as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        remedy = "run `hf auth login` with a token that may write there"
        if status not in {401, 403}:
            remedy = "check the id and the connection, then try again"
        raise OutputError(
            f"{repo_id} on {endpoint()} does not take the model ({_one_line(error)}); {remedy}"
        ) from error
    return f"{endpoint()}/{repo_id}"
