"""Numbers of bytes, as people write and read them."""

from __future__ import annotations

import re
from decimal import Decimal

from ..errors import SettingError

UNITS: dict[str, int] = {
    "": 1,
    "b": 1,
    **{f"{prefix}b": 1000 ** (i + 1) for i, prefix in enumerate("kmgt")},
    **{f"{prefix}ib": 1024 ** (i + 1) for i, prefix in enumerate("kmgt")},
}
"""Bytes in each unit, in lower case."""

FORMS = 'a number of bytes (4000000), or a number with a unit: "4GB", "800MB", "1.5 GiB", "750 MiB"'
"""What `parse_bytes` accepts, for messages."""

# An exponent of more than three digits would take minutes to expand.
_WRITTEN = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,3})?)\s*([a-z]*)", re.ASCII)


def parse_bytes(text: int | float | str) -> int:
    """Bytes from a number, or from text such as "4GB" or "1.5 GiB".

    A bare number is bytes. kB, MB, GB and TB are powers of 1000, KiB, MiB, GiB and TiB powers of
    1024; upper and lower case mean the same. Fractions of a byte are dropped.

    Raises SettingError for another unit, for text that is not a number, and for less than one byte.
    """
    if isinstance(text, bool):
        raise SettingError(f"memory {text!r} is not understood: give {FORMS}")
    # nan and inf do not match; numpy's numbers are written like Python's.
    found = _WRITTEN.fullmatch(str(text).strip().lower())
    if found is None:
        raise SettingError(f"memory {text!r} is not understood: give {FORMS}")
    amount, unit = found.groups()
    if unit not in UNITS:
        raise SettingError(f"memory {text!r}: unknown unit {unit!r}; give {FORMS}")
    number = Decimal(amount) * UNITS[unit]
    if number < 1:
        raise SettingError(f"memory {text!r}: must be at least one byte; give {FORMS}")
    return int(number)


def show_bytes(count: int) -> str:
    """A number of bytes with three digits and a decimal unit: "1.23 GB", "250 MB", "12 B"."""
    size = abs(count)
    if size < 1000:
        return f"{count} B"
    for power, unit in enumerate(("kB", "MB", "GB", "TB"), start=1):
        value = size / 1000**power
        if value < 999.5 or unit == "TB":  # 999.5 and more would be shown as 1000
            break
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{'-' if count < 0 else ''}{value:.{digits}f} {unit}"
