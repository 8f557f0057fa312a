"""From a photo and a trimap to a matte: reading, running the network, putting it together."""

from __future__ import annotations

import math
from functools import lru_cache
from numbers import Real
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import NDArray

from .errors import InputError, MEMatteError, SettingError
from .images import Photo, read_photo, split_batch, to_unit
from .matte import Matte
from .network import Chunking, MEMatte, Prediction, Progress
from .network.config import padded_size
from .trimap import INSIDE, OUTSIDE, from_mask, normalise
from .weights.load import load_network

DEFAULT_MODEL = "mematte-tiny"
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
CHUNKING = Chunking(tokens=2048, patches=512, attention=2**26, tile=256)
"""What a pipeline holds at once: a fixed bound, not yet chosen by what is free."""
MIN_TOKEN_COUNT = 16
"""Retention from here on is a number of tokens; up to 1 it is a share."""

Retention = float | int | Literal["auto"]
DecoderMode = Literal["exact", "official"]


class MattingPipeline:
    """Cuts photographs with one network, kept ready on one device.

    Args:
        network: as `load_network` returns it; moved to the device and its precision.
        device: "auto" (CUDA, else Apple's MPS, else the CPU) or a torch device.
        dtype: "auto" (float32), "float32", "float16" or "bfloat16".
        model: the name that mattes carry.

    Raises SettingError for a device or dtype that is unknown or not there.
    """

    def __init__(
        self,
        network: MEMatte,
        *,
        device: str | torch.device = "auto",
        dtype: str | torch.dtype = "auto",
        model: str = "",
    ) -> None:
        self.device = _device(device)
        self.network = network.to(self.device, _dtype(dtype)).eval()
        self.model = model

    @classmethod
    def from_pretrained(
        cls,
        model: str = DEFAULT_MODEL,
        *,
        device: str | torch.device = "auto",
        dtype: str | torch.dtype = "auto",
    ) -> MattingPipeline:
        """Load weights by catalog name, Hub id, folder or file; see `load_network`."""
        return cls(load_network(model), device=device, dtype=dtype, model=model)

    @overload
    def __call__(
        self,
        image: list[Any] | tuple[Any, ...],
        trimap: Any,
        *,
        retention: Retention = ...,
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
        decoder: DecoderMode = ...,
        progress: Progress | None = ...,
    ) -> Any: ...  # one photo or a batch, as its shape says

    def __call__(
        self,
        image: Any,
        trimap: Any,
        *,
        retention: Retention = "auto",
        decoder: DecoderMode = "exact",
        progress: Progress | None = None,
    ) -> Matte | list[Matte]:
        """Compute the matte of a photo, or a list of mattes for a list or batch of photos.

        Args:
            image: path, bytes, PIL image, numpy (H, W, 3) uint8, uint16 or float in [0, 1], torch
                (H, W, 3), (3, H, W) or (B, …), a `Photo`, or a list of these.
            trimap: path, PIL, numpy or torch (H, W): 0 background, 1 (255, 65535) foreground,
                anything between unknown; one for all photos or one each. Its size is the photo's;
                another size of the same aspect ratio is resized with a warning.
            retention: share of tokens (0 to 1), or number of tokens (16 or more), that each
                global-attention block may keep at most; "auto" leaves it to the router.
            decoder: "exact", or "official" for the official code's patches.
            progress: called with (done, total, stage).

        Returns: the Matte, its alpha of the photo's size, or a list for a list or a batch.

        Raises InputError for a photo or trimap that cannot be used, SettingError for an option.
        """
        if decoder not in ("exact", "official"):
            raise SettingError(f"decoder {decoder!r}: choose exact or official")
        _check_retention(retention, self.network)
        photos, many = split_batch(image)
        trimaps, several = split_batch(trimap, grey=True)
        if several and len(trimaps) not in (1, len(photos)):
            raise InputError(
                f"{len(photos)} photo(s) but {len(trimaps)} trimaps: give one for all or one each"
            )
        mattes = []
        for i, one in enumerate(photos):
            photo = one if isinstance(one, Photo) else read_photo(one)
            three = normalise(trimaps[i if len(trimaps) > 1 else 0], photo.size)
            mattes.append(self.cut_normalised(photo, three, retention, decoder, progress))
        return mattes if many else mattes[0]

    def cut_normalised(
        self,
        photo: Photo,
        trimap: NDArray[np.float32],
        retention: Retention,
        decoder: DecoderMode,
        progress: Progress | None,
    ) -> Matte:
        """The matte of one photo whose trimap (H, W) holds exactly 0, 0.5 and 1 already."""
        unknown = trimap == 0.5
        if not unknown.any():
            return _already_known(photo, trimap)
        found = self._predict(photo, trimap, retention, decoder, progress)
        alpha = found.alpha[0, 0].numpy()
        if not np.isfinite(alpha.min()):  # NaN if one is: no copy of the picture's size
            raise MEMatteError(
                f"{photo.name}: the network's result is not finite in {self.network.dtype}; "
                "use dtype float32"
            )
        return Matte(
            alpha=alpha,
            photo=photo,
            trimap=trimap,
            routing=tuple(keep[0].cpu().numpy() for keep in found.keep),
            model=self.model,
        )

    def _predict(
        self,
        photo: Photo,
        trimap: NDArray[np.float32],
        retention: Retention,
        decoder: DecoderMode,
        progress: Progress | None,
    ) -> Prediction:
        pixels = torch.from_numpy(photo.pixels)  # stays here, also where the network is elsewhere
        with torch.inference_mode():
            return self.network.predict(
                pixels.permute(2, 0, 1)[None],
                torch.from_numpy(trimap)[None, None],
                max_tokens=_max_tokens(retention, photo.size, self.network),
                chunking=CHUNKING,
                decoder=decoder,
                only_unknown=True,
                linear=photo.linear,
                progress=progress,
            )


def cut(
    image: Any,
    trimap: Any = None,
    *,
    mask: Any = None,
    inside: float | None = None,
    outside: float | None = None,
    unit: Literal["%", "px"] = "%",
    model: str = DEFAULT_MODEL,
    device: str = "auto",
    dtype: str = "auto",
    retention: Retention = "auto",
    progress: Progress | None = None,
) -> Matte:
    """Cut the subject out of one photo; pipelines stay warm between calls.

    Args:
        image: the photo, in any form that `MattingPipeline` takes.
        trimap: where the subject is sure, where the background is, and what is unknown.
        mask: instead of a trimap, a rough mask of the subject: (H, W), 1 or white inside. Without
            either, the alpha channel of an RGBA photo serves as the mask.
        inside, outside: how far the unknown band reaches into and out of the mask, in `unit`
            (see `trimap.from_mask`).
        unit: "%" of the subject's size, or "px".
        model: catalog name, Hub id, folder or file.
        device, dtype, retention, progress: as for `MattingPipeline`.

    Example:
        >>> cut("photo.jpg", mask="mask.png").save("cutout.png")  # doctest: +SKIP

    Raises InputError where neither trimap nor mask is given, or both, or one cannot be used.
    """
    if trimap is not None and mask is not None:
        raise InputError("both a trimap and a mask are given; leave one of them out")
    photo = image if isinstance(image, Photo) else read_photo(image)
    if trimap is None:
        if mask is None:
            if photo.alpha is None:
                raise InputError(
                    f"{photo.name}: which part is the subject? Give a trimap or a rough mask"
                )
            mask = to_unit(photo.alpha)
        trimap = trimap_for(photo, mask, inside=inside, outside=outside, unit=unit)
    three = normalise(trimap, photo.size)
    if not (three == 0.5).any():  # do not even load, or download, a model
        return _already_known(photo, three)
    pipe = _warm(model, device, dtype)
    _check_retention(retention, pipe.network)
    return pipe.cut_normalised(photo, three, retention, "exact", progress)


def trimap_for(
    photo: Photo,
    mask: Any,
    *,
    inside: float | None = None,
    outside: float | None = None,
    unit: Literal["%", "px"] = "%",
) -> NDArray[np.uint8]:
    """Trimap (H, W) uint8 0/128/255 of the photo's size from a rough mask of it.

    A mask of another size but the same aspect ratio is resized; see `trimap.from_mask` for the
    other arguments. Raises InputError for a mask of another shape, and for an empty or full one.
    """
    return from_mask(
        mask,
        size=photo.size,
        inside=INSIDE if inside is None else inside,
        outside=OUTSIDE if outside is None else outside,
        unit=unit,
    )


def _already_known(photo: Photo, trimap: NDArray[np.float32]) -> Matte:
    """Nothing to find out: the trimap is the matte."""
    return Matte(alpha=trimap.copy(), photo=photo, trimap=trimap)


@lru_cache(maxsize=2)
def _warm(model: str, device: str, dtype: str) -> MattingPipeline:
    return MattingPipeline.from_pretrained(model, device=device, dtype=dtype)


def _check_retention(retention: Any, network: MEMatte) -> None:
    if isinstance(retention, str) and retention == "auto":
        return
    share = float(retention) if isinstance(retention, Real) else math.nan
    if not (0 <= share <= 1 or (share >= MIN_TOKEN_COUNT and share.is_integer())):
        raise SettingError(
            f"retention {retention!r}: give auto, a share of tokens from 0 to 1, or a number of "
            f"tokens of at least {MIN_TOKEN_COUNT}"
        )
    if not network.config.routed and retention != 1:
        raise SettingError(
            f"retention {retention!r}: this model has no router and keeps all tokens; "
            "use auto, or a MEMatte model"
        )


def _max_tokens(retention: Retention, size: tuple[int, int], network: MEMatte) -> int | None:
    if retention == "auto" or not network.config.routed:
        return None
    if retention > 1:
        return int(retention)
    height, width = padded_size(*size, network.config.padding)
    patch = network.config.patch_size
    return math.ceil(retention * (height // patch) * (width // patch))


def _device(device: str | torch.device) -> torch.device:
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen).item()  # computing there is what counts
    except (RuntimeError, AssertionError, ImportError, TypeError, NotImplementedError) as error:
        raise SettingError(
            f"device {str(device)!r} is not available here; use auto or cpu"
        ) from error
    return chosen


def _dtype(dtype: str | torch.dtype) -> torch.dtype:
    if isinstance(dtype, torch.dtype) and dtype in DTYPES.values():
        return dtype
    if dtype == "auto":
        return torch.float32
    if dtype not in DTYPES:
        raise SettingError(f"dtype {str(dtype)!r}: choose auto, {', '.join(DTYPES)}")
    return DTYPES[str(dtype)]
