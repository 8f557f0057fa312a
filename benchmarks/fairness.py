"""Do the official code and ours compute the same from the same weights? If not, do not compare.

python -m benchmarks.fairness /path/to/official/checkout
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from mematte_plugin import MEMatteError

from .command import main
from .methods import Context, Method, build
from .scenes import make_scene

TOLERANCE = 1e-4
SPREAD = 0.05
"""Alphas that differ less among themselves would hide a difference between the two."""


def fairness(
    official: Annotated[Path, typer.Argument(help="A checkout of the official code.")],
    variant: Annotated[str, typer.Option(help="small or base.")] = "small",
    side: Annotated[int, typer.Option(help="Of the square picture, in pixels.")] = 512,
    retention: Annotated[float, typer.Option(help="Kept share of the tokens.")] = 0.25,
) -> None:
    """Compare alphas of both with the same random weights, on the CPU in float32.

    Exit code 0: they agree within 1e-4 and keep the same share of tokens. On large pictures the
    cap may cut between tokens whose scores tie except for rounding; some pixels then differ more.
    """
    scene = make_scene(side, side, 0.15)
    context = Context("cpu", official=str(official.resolve()))
    ours, theirs = (
        build(Method(kind, variant, "fp32", retention), context)(scene.image, scene.trimap)
        for kind in ("ours", "official")
    )
    largest = float(np.abs(ours["alpha"] - theirs["alpha"]).max())
    spread = float(np.ptp(theirs["alpha"][scene.trimap == 128]))
    print(
        f"{variant}, {side}x{side}: largest difference of alpha {largest:.1e}, kept"
        f" {ours['kept']:.4f} and {theirs['kept']:.4f}, alpha spreads over {spread:.2f}"
    )
    if spread < SPREAD:
        raise MEMatteError(f"{variant}: these weights give one alpha everywhere: no evidence")
    if largest > TOLERANCE or ours["kept"] != theirs["kept"]:
        raise MEMatteError(f"{official}: does not compute what ours does; one of the two is wrong")


if __name__ == "__main__":
    main(fairness)
