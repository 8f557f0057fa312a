"""How hair is worn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .growth import Style

STYLES: dict[str, Callable[[np.random.Generator], Style]] = {
    "long": lambda r: Style(
        length=r.uniform(2.2, 4.0),
        steps=18,
        gravity=r.uniform(1.2, 2.2),
        waver=r.uniform(0.1, 0.5),
        clump=r.uniform(0.2, 0.75),
        locks=int(r.integers(200, 900)),
        frizz=r.uniform(0.004, 0.02),
        stray=r.uniform(0.01, 0.06),
    ),
    "wavy": lambda r: Style(
        length=r.uniform(1.6, 3.2),
        steps=22,
        gravity=r.uniform(0.8, 1.6),
        waver=r.uniform(0.2, 0.7),
        clump=r.uniform(0.5, 0.85),
        locks=int(r.integers(120, 450)),
        curl=r.uniform(0.05, 0.13),
        turns=r.uniform(1.5, 4),
        frizz=r.uniform(0.006, 0.03),
        stray=r.uniform(0.02, 0.08),
    ),
    "curly": lambda r: Style(
        length=r.uniform(0.9, 1.8),
        steps=30,
        gravity=r.uniform(0.0, 0.7),
        waver=r.uniform(0.3, 1.0),
        clump=r.uniform(0.4, 0.8),
        locks=int(r.integers(300, 900)),
        curl=r.uniform(0.04, 0.1),
        turns=r.uniform(2, 4.5),
        frizz=r.uniform(0.01, 0.04),
        stray=r.uniform(0.03, 0.1),
    ),
    "short": lambda r: Style(
        length=r.uniform(0.25, 0.7),
        steps=8,
        gravity=r.uniform(0.0, 1.0),
        waver=r.uniform(0.2, 0.8),
        clump=r.uniform(0.1, 0.7),
        locks=int(r.integers(400, 1500)),
        frizz=r.uniform(0.01, 0.04),
        stray=r.uniform(0.02, 0.08),
    ),
    "blown": lambda r: Style(
        length=r.uniform(1.8, 3.6),
        steps=18,
        gravity=r.uniform(0.1, 0.6),
        waver=r.uniform(0.4, 1.0),
        wind=(float(r.choice([-1, 1]) * r.uniform(0.6, 1.8)), 0.3, 0.1),
        clump=r.uniform(0.2, 0.7),
        locks=int(r.integers(150, 500)),
        frizz=r.uniform(0.01, 0.04),
        stray=r.uniform(0.05, 0.15),
    ),
    "upright": lambda r: Style(
        length=r.uniform(0.6, 1.6),
        steps=12,
        gravity=r.uniform(-0.8, 0.1),
        waver=r.uniform(0.1, 0.5),
        clump=r.uniform(0.0, 0.8),
        locks=int(r.integers(80, 400)),
        frizz=r.uniform(0.01, 0.05),
        stray=r.uniform(0.02, 0.1),
    ),
}
"""name -> style drawn from a generator."""
