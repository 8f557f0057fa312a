"""Small JSON files beside weights. Apart from `read`, because this much needs no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import WeightsError

MAX_JSON = 1 << 22
"""Bytes; what is larger is no config."""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        WeightsError: missing, unreadable, too large or not an object.
    """
    try:
        if path.stat().st_size > MAX_JSON:
            raise ValueError("too large")
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise WeightsError(
            f"{path} is not valid JSON ({error}); take the file that came with the weights"
        ) from None
    if not isinstance(values, dict):
        raise WeightsError(f"{path} is not a JSON object; take the file that came with the weights")
    return values
