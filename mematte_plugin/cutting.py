"""One call from a photo to its matte, and the pipelines that are kept ready for the next one."""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Lock
from typing import Any, Literal

from .edges import Colors, Edge
from .errors import InputError, SettingError
from .images import Photo, read_photo, to_unit
from .labels import Objects
from .matte import Matte
from .memory.exhaustion import release
from .memory.units import parse_bytes
from .network import Progress
from .pipeline import DEFAULT_MODEL, Budget, MattingPipeline, already_known
from .retention import Retention, check_retention
from .spill import Despill
from .trimap import normalise_trimap, three_valued, trimap_for
from .weights.load import load_network

READY = 2
"""Pipelines that are kept; of more, the one that was not used for longest goes."""

Key = tuple[str, str, str]


def cut(
    image: Any,
    trimap: Any = None,
    *,
    mask: Any = None,
    objects: Objects = None,
    inside: float | None = None,
    outside: float | None = None,
    unit: Literal["%", "px"] = "%",
    model: str = DEFAULT_MODEL,
    device: str = "auto",
    dtype: str = "auto",
    retention: Retention = "auto",
    memory_budget: Budget = None,
    progress: Progress | None = None,
    levels: tuple[float, float] | None = None,
    choke: float = 0.0,
    feather: float = 0.0,
    despill: Despill = "off",
    colors: Colors = "foreground",
    crop: bool = False,
    margin: int = 0,
) -> Matte:
    """Cut the subject out of one photo; pipelines stay warm until `release_pipelines()`.

    Args:
        image: the photo, in any form that `MattingPipeline` takes.
        trimap: where the subject is sure, where the background is, and what is unknown.
        mask: instead of a trimap, a rough mask of the subject: (H, W), 1 or white inside. Without
            either, the alpha channel of an RGBA photo serves as the mask; beside one it caps the
            matte: nothing is more opaque than it is in the photo.
        objects: where the mask is a label map, the ids that are the subject: 1, or [1, 3].
        inside, outside: how far the unknown band reaches into and out of the mask, in `unit`
            (see `trimap.from_mask`).
        unit: "%" of the subject's size, or "px".
        model: catalog name, Hub id, folder or file.
        device, dtype, retention, memory_budget, progress: as for `MattingPipeline`.
        levels, choke, feather, despill, colors, crop, margin: what is done to the finished matte's
            edge and colours, as for `Matte.shaped`; nothing by default.

    Example:
        >>> cut("photo.jpg", mask="mask.png").save("cutout.png")  # doctest: +SKIP

    Raises InputError where neither trimap nor mask is given, or both, or one cannot be used.
    """
    edge = Edge(
        levels=levels,
        choke=choke,
        feather=feather,
        despill=despill,
        colors=colors,
        crop=crop,
        margin=margin,
    )
    if trimap is not None and mask is not None:
        raise InputError("both a trimap and a mask are given; leave one of them out")
    photo = image if isinstance(image, Photo) else read_photo(image)
    guided = trimap is not None or mask is not None
    if trimap is None:
        if mask is None:
            if photo.alpha is None:
                raise InputError(
                    f"{photo.name}: which part is the subject? Give a trimap or a rough mask"
                )
            mask = to_unit(photo.alpha)
        made = trimap_for(photo, mask, objects=objects, inside=inside, outside=outside, unit=unit)
        three = three_valued(made)
    else:
        if objects is not None:
            raise SettingError("objects: choose from a mask of several, and a trimap is given")
        three = normalise_trimap(trimap, photo.size)
    if not (three == 0.5).any():  # do not even load, or download, a model
        return already_known(photo, three, own_alpha=guided).with_edge(edge)
    pipe = ready_pipeline(model, device=device, dtype=dtype)
    check_retention(retention, pipe.network.config)
    budget = None if memory_budget is None else parse_bytes(memory_budget)
    matte = pipe.cut_normalised(
        photo, three, retention=retention, budget=budget, progress=progress, own_alpha=guided
    )
    return matte.with_edge(edge)


def ready_pipeline(
    model: str = DEFAULT_MODEL,
    *,
    device: str = "auto",
    dtype: str = "auto",
    progress: Callable[[int, int, str], None] | None = None,
) -> MattingPipeline:
    """A pipeline that stays loaded for the next call with the same arguments.

    model: catalog name, Hub id, folder or file.
    device, dtype: as for `MattingPipeline`.
    progress: as for `load_network`, where the weights have to be downloaded.

    Raises WeightsError, SettingError and MEMatteError as `load_network` and `MattingPipeline` do.
    """
    key = (model, device, dtype)
    with _lock:
        loading = _loading.setdefault(key, Lock())
    with loading:  # whoever wants the same one at the same time waits for it, and nobody else
        found = _taken(key)
        if found is None:
            with _lock:
                while len(_ready) >= READY:  # before the next one takes memory, too
                    del _ready[next(iter(_ready))]
            network = load_network(model, progress=progress)
            found = MattingPipeline(network, device=device, dtype=dtype, model=model)
            with _lock:
                _ready[key] = found
                while len(_ready) > READY:  # another was loaded meanwhile
                    del _ready[next(iter(_ready))]
    return found


def release_pipelines() -> None:
    """Let go of the pipelines that `cut` keeps ready, and give their memory back.

    One that computes now, in another thread, goes when it has done so, and so does one that a
    program still holds. The next `cut` loads its model again.
    """
    with _lock:
        devices = {"cpu", *(str(pipe.device) for pipe in _ready.values())}
        _ready.clear()
    for device in devices:
        release(device)


def _taken(key: Key) -> MattingPipeline | None:
    """The one that is ready; it is now the one that was used last."""
    with _lock:
        found = _ready.pop(key, None)
        if found is not None:
            _ready[key] = found
        return found


_ready: dict[Key, MattingPipeline] = {}
"""The one that was used last comes last."""
_loading: dict[Key, Lock] = {}
"""Held while one of these is loaded, which may take a download."""
_lock = Lock()
"""Held for moments, around both."""


def _forget_the_parents_locks() -> None:
    """In a forked process: the threads that may hold them are not there to give them back."""
    global _lock  # noqa: PLW0603
    _lock = Lock()
    _loading.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_the_parents_locks)
