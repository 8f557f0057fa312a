"""What keeping fewer tokens costs and saves: error, time and memory against retention.

    python -m benchmarks.retention PHOTOS

PHOTOS is a data set with true alphas, as `mematte eval` takes it. Every point is measured in a
process of its own; the shares take turns. The same command goes on where it was stopped.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from mematte_plugin import SettingError
from mematte_plugin.evaluation.cases import Case, Inputs, cases_of, read
from mematte_plugin.evaluation.layouts import scan
from mematte_plugin.evaluation.metrics import errors
from mematte_plugin.images.files import write_text
from mematte_plugin.memory.free import cpu_count

from .command import main
from .names import Method
from .points import AUTO, Point, as_markdown, write_figure
from .store import Store, kind, machine, open_store
from .turns import ROOT, OutOfTime, Player, Setup

RESULTS = ROOT / "benchmarks" / "results"
SHARES = (1.0, 0.75, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05, 0.0)
DEFAULT_SHARES = ",".join(f"{share:g}" for share in SHARES)
logger = logging.getLogger("benchmarks")


def retention(
    folder: Annotated[Path, typer.Argument(metavar="PHOTOS", help="A data set with alphas.")],
    *,
    model: Annotated[str, typer.Option(help="As for `mematte cut`.")] = "mematte-tiny",
    shares: Annotated[
        str, typer.Option(metavar="SHARE,…", help="Kept shares, besides what the router wants.")
    ] = DEFAULT_SHARES,
    capped: Annotated[
        bool,
        typer.Option(
            "--capped",
            help="Leave the router its will and the share be the most that it may keep, as"
            " `--retention` does. Without: exactly that share is kept, the best scores first.",
        ),
    ] = False,
    enlarge: Annotated[
        int, typer.Option(min=1, help="Also measure time and memory at so many times the size.")
    ] = 3,
    enlarged: Annotated[int, typer.Option(min=0, help="Of so many photographs.")] = 1,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only so many photographs, the first by name.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    dtype: Annotated[str, typer.Option(help="fp32, bf16 or fp16.")] = "fp32",
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each.")] = 1,
    threads: Annotated[int | None, typer.Option(min=1, help="Default: the usable cores.")] = None,
    minutes: Annotated[float | None, typer.Option(help="End after so long.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="JSON file; a table and a figure are written beside it.")
    ] = None,
    again: Annotated[bool, typer.Option(help="Measure anew what the file holds already.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the points as JSON.")] = False,
) -> None:
    """Alpha error, seconds and peak memory of one model against the share of kept tokens."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    methods = _methods(model, dtype, shares, "model" if capped else "forced")
    here = machine(device)
    setup = Setup(
        device=device,
        threads=threads or cpu_count(),
        deadline=time.monotonic() + 60 * minutes if minutes is not None else None,
    )
    path = out or RESULTS / f"retention-{kind(here)}.json"
    settings = {"threads": setup.threads, "model": model, "dtype": dtype, "capped": capped}
    store = open_store(path, Point, here, settings)
    cases = cases_of(scan(folder), limit=limit)
    first = list(dict.fromkeys(case.name for case in cases))[:enlarged]
    large = [case for case in cases if case.name in first and enlarge > 1]
    try:
        for case, scale in [*((one, 1) for one in cases), *((one, enlarge) for one in large)]:
            _measure(case, scale, methods, setup, store, repeats=repeats, again=again)
    except OutOfTime as over:
        logger.info("%s", over)
    finally:
        if store.results:
            figure = write_figure(store)
            text = as_markdown(store, figure)
            write_text(path.with_suffix(".md"), text, overwrite=True)
            logger.info("written: %s", path.with_suffix(".md"))
    if as_json:
        print(json.dumps([vars(one) for one in store.results.values()]))


def _methods(model: str, dtype: str, shares: str, which: str) -> dict[str, Method]:
    """By what the share is called in the tables."""
    variant = str(Path(model).resolve()) if Path(model).exists() else model
    chosen = {AUTO: Method("model", variant, dtype)}
    for text in shares.split(","):
        try:
            share = float(text)
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            raise SettingError(f"--shares {shares}: give numbers from 0 to 1, as in 1,0.5,0.25")
        chosen[f"{share:g}"] = Method(which, variant, dtype, share)
    return chosen


def _measure(
    case: Case,
    scale: int,
    methods: dict[str, Method],
    setup: Setup,
    store: Store[Point],
    *,
    repeats: int,
    again: bool,
) -> None:
    todo = {}
    for share in methods:
        empty = Point(case.name, case.trimap_name, scale, share)
        if again or not store.done(empty.key, repeats):
            todo[share] = empty
    if not todo:
        return
    inputs = read(case)
    players = {share: Player(methods[share].name, setup) for share in todo}
    try:
        for player in players.values():
            player.ready()
        with tempfile.TemporaryDirectory() as folder:
            image, trimap, alpha = (Path(folder, f"{name}.npy") for name in ("i", "t", "a"))
            _save(inputs, scale, image, trimap)
            for _ in range(repeats):
                for share, player in players.items():
                    if todo[share].failed:
                        continue
                    turn = player.play(image, trimap, save=alpha if scale == 1 else None)
                    one = _with(todo[share], turn)
                    if scale == 1 and not one.failed:
                        one = _scored(one, np.load(alpha), inputs)
                    todo[share] = one
                    store.put(one)
                    logger.info("%s ×%d, %s: %s", case.name, scale, share, one.summary)
    finally:
        for player in players.values():
            player.close()


def _with(one: Point, turn: Any) -> Point:
    if turn.failed or turn.skipped:
        return replace(one, seconds=(), failed=turn.failed or turn.skipped)
    return replace(
        one,
        seconds=(*one.seconds, turn.seconds),
        peak=max(one.peak, turn.peak),
        kept=turn.kept,
    )


def _scored(one: Point, alpha: NDArray[Any], inputs: Inputs) -> Point:
    found = errors(alpha, inputs.truth, inputs.trimap)
    return replace(one, sad=found.sad, mse=found.mse)


def _save(inputs: Inputs, scale: int, image: Path, trimap: Path) -> None:
    """The case as .npy files of `scale` times its size, RGB and a trimap of 0, 128 and 255."""
    import cv2

    pixels = inputs.photo.pixels
    three = np.where(inputs.trimap == 0.5, 128, inputs.trimap * 255).astype(np.uint8)
    if scale > 1:
        size = (scale * three.shape[1], scale * three.shape[0])
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC))
        three = np.asarray(cv2.resize(three, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    np.save(image, pixels)
    np.save(trimap, three)


if __name__ == "__main__":
    main(retention)
