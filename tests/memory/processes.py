"""Python in a fresh process, where memory can be counted and limited."""

import subprocess
import sys

from tests.patience import PATIENCE


def run_python(code: str, *, timeout: float = PATIENCE) -> str:
    """What the code prints; fails as the code does."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
