"""From a photo and a trimap to a matte: `MattingPipeline`, `cut`, and the pipelines kept ready."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import NDArray

from .engine import Engine
from .errors import InputError, SettingError, warn_user
from .foreground.edges import Colors, Edge
from .foreground.spill import Despill
from .guide import Guide, Guided
from .images.arrays import to_unit
from .images.photo import Photo
from .images.read import read_photo, split_batch
from .locks import ForkSafeLock
from .matte import Matte
from .memory.exhaustion import release
from .memory.retention import Retention, check_retention
from .memory.units import parse_bytes
from .network.mematte import DecoderMode
from .network.rows import idle
from .progress import Progress
from .subject.ready import release_subjects
from .trimap.labels import Objects
from .trimap.trimap import normalise_trimap
from .weights.load import load_network

DEFAULT_MODEL = "mematte-tiny"
CAP_ROWS = 256
"""Rows to which the photo's own alpha is applied at a time."""
READY = 2
"""Pipelines that are kept; beyond that, the least recently used one goes."""

Budget = int | float | str | None
Key = tuple[str, str, str]


class MattingPipeline(Engine):
    """Cuts photographs with one network, kept ready on one device.

    Args:
        network: as `load_network` returns it. If it is on the device in the precision already, it
            is used itself, in evaluation mode; otherwise a copy, and it stays as it is.
        device: "auto" (CUDA, else Apple's MPS, else the CPU) or a torch device.
        dtype: "auto", "float32", "float16" or "bfloat16". "auto" is float16 on CUDA cards with
            tensor cores, else float32; it falls back to half precision if memory is short, and to
            float32, with a warning, if a result in half precision is not finite.
        model: the name that mattes carry.

    Attributes: network (the one that computes), device, dtype and model. On a CPU, torch uses no
    more threads during a run than this process has cores (affinity mask, control group).

    Raises SettingError for a device or dtype that is unknown, absent or has no room for the
    weights.
    """

    @classmethod
    def from_pretrained(
        cls,
        model: str = DEFAULT_MODEL,
        *,
        device: str | torch.device = "auto",
        dtype: str | torch.dtype = "auto",
    ) -> MattingPipeline:
        """Load weights by catalog name, Hub id, folder or file; see `load_network`.

        Raises WeightsError for weights that cannot be found or read, and SettingError as the
        class does.
        """
        return cls(load_network(model), device=device, dtype=dtype, model=model)

    @overload
    def __call__(
        self,
        image: list[Any] | tuple[Any, ...],
        trimap: Any,
        *,
        retention: Retention = ...,
        memory_budget: Budget = ...,
        decoder: DecoderMode = ...,
        progress: Progress | None = ...,
    ) -> list[Matte]: ...

    @overload
    def __call__(
        self,
        image: str | Path | bytes | Photo,
        trimap: Any,
        *,
        retention: Retention = ...,
        memory_budget: Budget = ...,
        decoder: DecoderMode = ...,
        progress: Progress | None = ...,
    ) -> Matte: ...

    @overload
    def __call__(
        self,
        image: Any,
        trimap: Any,
        *,
        retention: Retention = ...,
        memory_budget: Budget = ...,
        decoder: DecoderMode = ...,
        progress: Progress | None = ...,
    ) -> Any: ...  # one photo or a batch, as its shape says

    def __call__(
        self,
        image: Any,
        trimap: Any,
        *,
        retention: Retention = "auto",
        memory_budget: Budget = None,
        decoder: DecoderMode = "exact",
        progress: Progress | None = None,
    ) -> Matte | list[Matte]:
        """Compute the matte of a photo, or a list of mattes for a list or batch of photos.

        Args:
            image: path, bytes, PIL image, numpy (H, W, 3) uint8, uint16 or float in [0, 1], torch
                (H, W, 3), (3, H, W) or (B, …), a `Photo`, or a list of these. If it has
                transparency of its own, no part of the matte is more opaque than that.
            trimap: path, PIL, numpy or torch (H, W): 0 background, 1 (255, 65535) foreground,
                anything between unknown; one for all photos or one each. A trimap of another size
                but the photo's aspect ratio is resized with a warning.
            retention: share of tokens (0 to 1), or number of tokens (16 or more), that each
                global-attention block keeps at most; "auto" leaves it to the router.
            memory_budget: bytes, or text such as "4GB", that a run may take above the loaded, idle
                process; default: what is free, less headroom. See `Matte.plan` for the outcome.
            decoder: "exact", or "official" for the official code's patches.
            progress: called with (done, total, stage); the stages are "reading", "encoder" and
                "decoder". On a CPU it is called at least a few times a second, often with the same
                numbers; what it raises ends the run and is passed on.

        Returns: the Matte, its alpha of the photo's size, or a list for a list or a batch.

        Raises InputError for a photo or trimap that cannot be used; SettingError for an invalid
        option and a budget that is too small; MEMatteError if memory runs out again and again.
        """
        if decoder not in ("exact", "official"):
            raise SettingError(f"decoder {decoder!r}: choose exact or official")
        check_retention(retention, self.network.config)
        budget = None if memory_budget is None else parse_bytes(memory_budget)
        photos, many = split_batch(image)
        trimaps, several = split_batch(trimap, grey=True)
        if several and len(trimaps) not in (1, len(photos)):
            raise InputError(
                f"{len(photos)} photo(s) but {len(trimaps)} trimaps: give one for all or one each"
            )
        mattes = []
        reading = partial(progress, 0, 1, "reading") if progress is not None else idle
        for i, one in enumerate(photos):
            reading()
            photo = one if isinstance(one, Photo) else read_photo(one)
            reading()
            three = normalise_trimap(trimaps[i if len(trimaps) > 1 else 0], photo.size)
            mattes.append(
                self.cut_normalised(
                    photo,
                    three,
                    retention=retention,
                    budget=budget,
                    decoder=decoder,
                    progress=progress,
                )
            )
        return mattes if many else mattes[0]

    def cut_normalised(
        self,
        photo: Photo,
        trimap: NDArray[np.float32],
        *,
        retention: Retention = "auto",
        budget: int | None = None,
        decoder: DecoderMode = "exact",
        progress: Progress | None = None,
    ) -> Matte:
        """The matte of one photo whose trimap (H, W) holds exactly 0, 0.5 and 1 already."""
        matte = self.run(
            photo, trimap, retention=retention, budget=budget, decoder=decoder, progress=progress
        )
        _cap_by_own_alpha(matte)
        return matte

    def cut_guided(
        self,
        photo: Photo,
        guided: Guided,
        *,
        retention: Retention = "auto",
        budget: int | None = None,
        progress: Progress | None = None,
    ) -> Matte:
        """The matte of one photo whose subject is given in any way."""
        matte = guided.finish(
            lambda trimap: self.run(
                photo, trimap, retention=retention, budget=budget, progress=progress
            )
        )
        if guided.capped:
            _cap_by_own_alpha(matte)
        return matte


def _cap_by_own_alpha(matte: Matte) -> None:
    """Make nothing more opaque than it is in the photo, in place.

    Parts that were cut away before do not come back, and soft edges are not thinned twice. Warns if
    that contradicts the trimap.
    """
    alpha, photo, trimap = matte.alpha, matte.photo, matte.trimap
    if photo.alpha is None:
        return
    lost = 0
    for top in range(0, len(alpha), CAP_ROWS):
        rows = slice(top, top + CAP_ROWS)
        own = to_unit(photo.alpha[rows])
        lost += int(((trimap[rows] == 1) & (own < 0.98)).sum())
        np.minimum(alpha[rows], own, out=alpha[rows])
    if lost:
        warn_user(
            f"{photo.name}: its own transparency caps the matte, also on {lost} pixels that the"
            " trimap or mask calls subject; remove its alpha channel if it is not meant"
        )


def cut(
    image: Any,
    trimap: Any = None,
    *,
    mask: Any = None,
    alpha: Any = None,
    points: Any = None,
    box: Any = None,
    text: str | None = None,
    subject_model: str | None = None,
    objects: Objects = None,
    inside: float | None = None,
    outside: float | None = None,
    unit: Literal["%", "px"] = "%",
    islands: float | None = None,
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

    One of trimap, mask, alpha, points (and box), or text says what the subject is. With none of
    them, the alpha channel of an RGBA photo serves as the mask; a photo without one has its subject
    found by a network, as `find_subject` does, which needs the extra `subject`. Where something is
    given, an RGBA photo's own alpha caps the matte: nothing is more opaque than it is in the photo.

    Args:
        image: the photo, in any form that `MattingPipeline` takes.
        trimap: (H, W): 0 background, 1 (255, 65535) foreground, anything between unknown.
        mask: a rough mask of the subject: (H, W), 1 or white inside.
        alpha: a soft mask or alpha from anywhere, of any resolution (see `from_soft`), or what
            `find_subject` found.
        points, box, text: where the subject is, for `find_subject`.
        subject_model: the network that finds the subject; see `find_subject`.
        objects: if the mask is a label map, the ids that are the subject: 1, or [1, 3].
        inside, outside: how far the unknown band reaches into and out of the mask, in `unit`
            (see `from_mask` and `from_soft`).
        unit: "%" of the subject's size, or "px".
        islands: size of the separate parts that are left out of a soft mask; see `from_soft`.
        model: catalog name, Hub id, folder or file.
        device, dtype, retention, memory_budget, progress: as for `MattingPipeline`; progress
            also reports a download, as for `load_network`.
        levels, choke, feather, despill, colors, crop, margin: shape the finished matte's edge and
            colours, as for `Matte.shaped`; nothing by default.

    Example:
        >>> cut("photo.jpg", mask="mask.png").save("cutout.png")  # doctest: +SKIP
        >>> cut("photo.jpg", points=[(420, 310)]).save("cutout.png")  # doctest: +SKIP

    Returns: the Matte, its alpha (H, W) float32 in [0, 1] of the photo's size; `Matte.subject` is
    what was found, if a network was asked.

    Raises InputError if two of the guides are given, or one cannot be used, and if no subject is
    found; SettingError for an invalid option or a budget that is too small; WeightsError if a
    model cannot be loaded; MEMatteError if memory runs out again and again, or an extra is missing.
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
    guide = Guide(
        trimap=trimap,
        mask=mask,
        alpha=alpha,
        points=points,
        box=box,
        text=text,
        subject_model=subject_model,
        objects=objects,
        inside=inside,
        outside=outside,
        unit=unit,
        islands=islands,
    )
    photo = image if isinstance(image, Photo) else read_photo(image)
    guided = guide.guided(photo, device=device, progress=progress)
    if not (guided.trimap == 0.5).any():  # do not even load, or download, a model
        three = guided.trimap
        matte = Matte(alpha=three.copy(), photo=photo, trimap=three, subject=guided.subject)
        if guided.capped:
            _cap_by_own_alpha(matte)
        return matte.with_edge(edge)
    pipe = ready_pipeline(model, device=device, dtype=dtype, progress=progress)
    check_retention(retention, pipe.network.config)
    budget = None if memory_budget is None else parse_bytes(memory_budget)
    return pipe.cut_guided(
        photo, guided, retention=retention, budget=budget, progress=progress
    ).with_edge(edge)


def ready_pipeline(
    model: str = DEFAULT_MODEL,
    *,
    device: str = "auto",
    dtype: str = "auto",
    progress: Progress | None = None,
) -> MattingPipeline:
    """A pipeline that stays loaded for the next call with the same arguments.

    model: catalog name, Hub id, folder or file.
    device, dtype: as for `MattingPipeline`.
    progress: as for `load_network`, if the weights have to be downloaded.

    Raises WeightsError, SettingError and MEMatteError as `load_network` and `MattingPipeline` do.
    """
    key = (model, device, dtype)
    with _lock:
        loading = _loading.setdefault(key, ForkSafeLock())
    with loading:  # others that want the same one wait, all others do not
        with _lock:
            found = _ready.pop(key, None)
            if found is None:
                _drop_all_but(READY - 1)  # before the next one takes memory, too
        if found is None:
            network = load_network(model, progress=progress)
            found = MattingPipeline(network, device=device, dtype=dtype, model=model)
        with _lock:
            _ready[key] = found
            _drop_all_but(READY)  # another may have been loaded meanwhile
    return found


def release_pipelines() -> None:
    """Drop the pipelines that `cut` keeps ready, and the networks and embeddings of `find_subject`;
    give their memory back.

    One that is computing in another thread goes when it is done, and so does one that a program
    still holds. The next `cut` loads its model again.
    """
    release_subjects()
    with _lock:
        devices = {"cpu", *(str(pipe.device) for pipe in _ready.values())}
        _ready.clear()
    for device in devices:
        release(device)


_ready: dict[Key, MattingPipeline] = {}
"""The most recently used one comes last."""
_loading: dict[Key, ForkSafeLock] = {}
"""Held while that one is loaded, which may take a download."""
_lock = ForkSafeLock()
"""Held for moments, around both."""


def _drop_all_but(count: int) -> None:
    while len(_ready) > count:
        del _ready[next(iter(_ready))]
