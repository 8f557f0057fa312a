"""Bytes as people write them."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from mematte_plugin.errors import SettingError
from mematte_plugin.memory.units import parse_bytes, show_bytes


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (4_000_000, 4_000_000), ("4000000", 4_000_000), ("4e6", 4_000_000), (2.5e9, 2_500_000_000),
        (np.int64(12), 12), (np.float64(1e3), 1000), ("1 B", 1), ("1.9b", 1),
        ("4GB", 4_000_000_000), ("4 gb", 4_000_000_000), (" 0.1 GB ", 100_000_000),
        ("800MB", 800_000_000), ("64 kB", 64_000), ("2TB", 2 * 10**12), (".5GB", 500_000_000),
        ("1.5 GiB", 1_610_612_736), ("750MiB", 786_432_000), ("1KiB", 1024), ("1tib", 2**40),
    ],
)  # fmt: skip
def test_bytes_are_read(text, count):
    assert parse_bytes(text) == count


@pytest.mark.parametrize(
    "text",
    [
        "lots", "", "GB", "4 parsecs", "4G", "4 GB!", "4,5 GB", "1 GB 2", "0x10", "50%", "٤GB",
        "0", 0, -1, "-4GB", "0.5", "1e-4 kiB", math.nan, math.inf, "nan", "inf GB", True, None, [4],
        "1e999999999 GB",
    ],
)  # fmt: skip
def test_what_is_no_amount_of_memory_is_named(text):
    with pytest.raises(SettingError) as caught:
        parse_bytes(text)
    assert repr(text) in str(caught.value)
    assert '"4GB"' in str(caught.value)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (1_234_567_890, "1.23 GB"),
        (250_000_000, "250 MB"), (12_345_678, "12.3 MB"), (9_996, "10.0 kB"), (99_960, "100 kB"),
        (999_499, "999 kB"), (999_500, "1.00 MB"), (5 * 10**15, "5000 TB"), (-2_500, "-2.50 kB"),
    ],
)  # fmt: skip
def test_bytes_are_shown_with_three_digits(count, text):
    assert show_bytes(count) == text


@given(st.integers(1, 10**14))
def test_what_is_shown_can_be_given(count):
    assert parse_bytes(show_bytes(count)) == pytest.approx(count, rel=0.005)
