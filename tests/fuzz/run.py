"""Fuzzing with atheris: python -m tests.fuzz.run CORPUS --minutes 20

CORPUS is a folder outside the repository; it is filled with the seeds first. What is found lies
there as crash-… or timeout-…: mend the fault, and put the file into tests/fuzz/found, from where
the tests replay it. Needs `pip install atheris`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["mematte_plugin", "tifffile", "PIL"]):
    from .doors import DOORS
from .seeds import seeds

HANG_SECONDS = 60
MEGABYTES = 3000


def main() -> None:
    """Fill the corpus and run until the time is over or something is found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--minutes", type=float, default=20)
    asked = parser.parse_args()
    asked.corpus.mkdir(parents=True, exist_ok=True)
    for name, data in seeds().items():
        (asked.corpus / name).write_bytes(data)
    options = [
        sys.argv[0],
        str(asked.corpus),
        f"-max_total_time={round(asked.minutes * 60)}",
        f"-timeout={HANG_SECONDS}",
        f"-rss_limit_mb={MEGABYTES}",
        f"-artifact_prefix={asked.corpus}/",
        "-max_len=20000",
    ]
    atheris.Setup(options, _try)
    atheris.Fuzz()


def _try(data: bytes) -> None:
    for door in DOORS:
        door(data)


if __name__ == "__main__":
    main()
