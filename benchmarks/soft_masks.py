"""What becomes of soft masks: the mask blown up, the fixed band around it, and `cut(alpha=…)`.

    python -m benchmarks.soft_masks PHOTOS

PHOTOS is a data set with true alphas, as `mematte eval` takes it. Its alphas are made into masks as
networks and people leave them. Errors are over the whole picture. The same command goes on where it
was stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from mematte_plugin import Guided, collect_notes, cut, from_mask, read_photo, ready_pipeline
from mematte_plugin.evaluation.layouts import scan
from mematte_plugin.evaluation.report import markdown_table
from mematte_plugin.images.read import read_gray
from mematte_plugin.trimap.soft import SoftMask

from .command import Again, Minutes, Out, main, write_report
from .results import Record, Store, file_of, machine
from .runner import logger

Plane = NDArray[Any]

WAYS = ("mask", "band", "soft")
HEADERS = ("mask", "blown up", "fixed band", "`cut(alpha=…)`", "better than both")
LEGEND = (
    "Means over the photographs of SAD in thousands / MSE × 10⁻³ over the whole picture: the mask"
    " blown up to the photo's size, `cut(mask=…)` with its default band, and `cut(alpha=…)`. Last:"
    " on how many photographs both errors are the lowest."
)


def soft_masks(
    folder: Annotated[Path, typer.Argument(metavar="PHOTOS", help="A data set with alphas.")],
    *,
    model: Annotated[str, typer.Option(help="As for `mematte cut`.")] = "mematte-tiny",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first photographs, by name.")
    ] = None,
    minutes: Minutes = None,
    out: Out = None,
    again: Again = False,
) -> None:
    """Measure the errors of soft masks, and of what becomes of them."""
    here = machine("cpu")
    store = Store(out or file_of(here, "soft-masks-"), here, {"model": model})
    end = math.inf if minutes is None else time.monotonic() + 60 * minutes
    for picture in scan(folder).pictures[:limit]:
        truth = read_gray(picture.alpha, name="alpha")
        for kind, make in KINDS.items():
            case = {"picture": picture.name, "mask": kind}
            if time.monotonic() > end or (store.done(case) and not again):
                continue
            began = time.perf_counter()
            found = measured(read_photo(picture.image), truth, make(truth), model)
            seconds = time.perf_counter() - began
            store.put(Record(case, runs=[{"seconds": seconds, "peak": 0, **found}]))
            logger.info("%s %s: %s", picture.name, kind, found)
    write_report(store, as_markdown)


def measured(photo: Any, truth: Plane, mask: Plane, model: str) -> dict[str, list[float]]:
    """SAD and MSE by way."""
    blown = resized(mask, truth.shape)
    grain = max(1.0, math.sqrt(truth.size / mask.size))
    with collect_notes():
        band = cut(photo, from_mask(blown, grain=grain), model=model).alpha
        guided = Guided.by(SoftMask(mask, photo.size), {})  # as `alpha=`, but it may be stretched
        soft = ready_pipeline(model).cut_guided(photo, guided).alpha
    results = zip(WAYS, (blown, band, soft), strict=True)
    return {way: whole_errors(alpha, truth) for way, alpha in results}


def whole_errors(alpha: Plane, truth: Plane) -> list[float]:
    off = alpha.astype(np.float64) - truth
    return [float(np.abs(off).sum() / 1000), float((off**2).mean() * 1000)]


# ---- masks ---------------------------------------------------------------------------------------


def resized(values: Plane, size: tuple[int, ...]) -> Plane:
    import cv2

    way = cv2.INTER_AREA if size[0] * size[1] < values.size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, size[::-1], interpolation=way))


def in_bytes(values: Plane) -> Plane:
    """As an 8-bit file keeps it."""
    return np.asarray(np.rint(values * 255).clip(0, 255) / 255, np.float32)


def percent(alpha: Plane) -> int:
    """1% of the subject's size in pixels."""
    return max(1, round(0.01 * math.sqrt(np.count_nonzero(alpha >= 0.5))))


def blurred(alpha: Plane) -> Plane:
    import cv2

    return np.asarray(cv2.GaussianBlur(alpha, (0, 0), percent(alpha)))


def at_512(alpha: Plane) -> Plane:
    scale = 512 / max(alpha.shape)
    return resized(alpha, (round(alpha.shape[0] * scale), round(alpha.shape[1] * scale)))


def from_jpeg(alpha: Plane) -> Plane:
    import cv2

    data = cv2.imencode(".jpg", np.rint(alpha * 255).astype(np.uint8), [1, 30])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) / np.float32(255))


def grown(alpha: Plane, *, way: str) -> Plane:
    import cv2

    side = 2 * percent(alpha) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.asarray((cv2.erode if way == "erode" else cv2.dilate)(alpha, disc))


def shifted(alpha: Plane) -> Plane:
    by = percent(alpha)
    return np.pad(alpha, ((by, 0), (by, 0)), "edge")[: alpha.shape[0], : alpha.shape[1]]


def like_sam(alpha: Plane) -> Plane:
    """Hard at 256×256, its edge a steep sigmoid."""
    import cv2

    hard = (resized(alpha, (256, 256)) >= 0.5).astype(np.float32)
    return np.asarray(1 / (1 + np.exp(-16 * (cv2.GaussianBlur(hard, (0, 0), 1) - 0.5))))


KINDS: dict[str, Callable[[Plane], Plane]] = {
    "blurred by 1%": lambda alpha: in_bytes(blurred(alpha)),
    "512 px": lambda alpha: in_bytes(at_512(alpha)),
    "256 × 256": lambda alpha: in_bytes(resized(alpha, (256, 256))),
    "JPEG, quality 30": from_jpeg,
    "eroded by 1%": lambda alpha: in_bytes(grown(alpha, way="erode")),
    "dilated by 1%": lambda alpha: in_bytes(grown(alpha, way="dilate")),
    "shifted by 1%": lambda alpha: in_bytes(shifted(alpha)),
    "as SAM's, 256 × 256": lambda alpha: in_bytes(like_sam(alpha)),
}


# ---- tables --------------------------------------------------------------------------------------


def as_markdown(store: Store) -> str:
    """A row for each kind of mask."""
    rows = []
    for kind in KINDS:
        some = [one for one in store.records if one.case["mask"] == kind and one.runs]
        if some:
            won = sum(is_best(one) for one in some)
            means = (
                " / ".join(f"{mean(one.get(way)[i] for one in some):.2f}" for i in (0, 1))
                for way in WAYS
            )
            rows.append((kind, *means, f"{won} of {len(some)}"))
    parts = ["# Soft masks", store.about, LEGEND, markdown_table(HEADERS, rows)]
    return "\n\n".join(parts) + "\n"


def is_best(record: Record) -> bool:
    mask, band, soft = (record.get(way) for way in WAYS)
    return all(soft[i] < min(mask[i], band[i]) for i in (0, 1))


if __name__ == "__main__":
    main(soft_masks)
