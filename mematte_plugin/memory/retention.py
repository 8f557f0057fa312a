"""Checking `retention`, and the number of tokens it stands for. No torch."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, Literal

from ..errors import SettingError
from ..network.config import NetworkConfig, padded_size

MIN_TOKEN_COUNT = 16
"""From here on, retention is a number of tokens; up to 1 it is a share."""

Retention = float | int | Literal["auto"]


def check_retention(retention: Any, config: NetworkConfig) -> None:
    """Raises SettingError for an invalid retention, and for one that the network cannot apply."""
    if isinstance(retention, str) and retention == "auto":
        return
    share = float(retention) if isinstance(retention, Real) else math.nan
    if not (0 <= share <= 1 or (share >= MIN_TOKEN_COUNT and share.is_integer())):
        raise SettingError(
            f"retention {retention!r}: give auto, a share of tokens from 0 to 1, or a number of "
            f"tokens of at least {MIN_TOKEN_COUNT}"
        )
    if not config.routed and retention != 1:
        raise SettingError(
            f"retention {retention!r}: this model has no router and keeps all tokens; "
            "use auto, or a MEMatte model"
        )


def max_tokens(retention: Retention, size: tuple[int, int], config: NetworkConfig) -> int | None:
    """The cap on kept tokens per block; None for none.

    Args:
        retention: as `check_retention` accepts it.
        size: (H, W) of the picture in pixels.
        config: the network's shape.
    """
    if retention == "auto" or not config.routed:
        return None
    if retention > 1:
        return int(retention)
    height, width = padded_size(*size, config.padding)
    patch = config.patch_size
    return math.ceil(retention * (height // patch) * (width // patch))
