"""Notes are collected where they are asked for, and are warnings elsewhere."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

from mematte_plugin import MEMatteWarning, collect_notes, normalise_trimap

SMALL = np.kron(np.array([[0, 0, 0], [0, 128, 0], [0, 255, 0]], np.uint8), np.ones((8, 8), "u1"))


def test_a_note_is_collected_once_and_warns_elsewhere() -> None:
    with collect_notes() as notes:
        normalise_trimap(SMALL, (48, 48))
        normalise_trimap(SMALL, (48, 48))
    assert notes == ["trimap: is 24×24 and is resized to the photo's 48×48"]
    with pytest.warns(MEMatteWarning, match="is resized"):
        normalise_trimap(SMALL, (48, 48))


def test_threads_get_their_own_notes() -> None:
    together = Barrier(2)

    def job(side: int) -> list[str]:
        with collect_notes() as notes:
            together.wait()
            normalise_trimap(SMALL, (side, side))
            together.wait()
        return notes

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(job, (48, 72))
    assert [note[-5:] for note in first + second] == ["48×48", "72×72"]
