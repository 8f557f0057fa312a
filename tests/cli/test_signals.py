"""What the tests themselves hand down to the processes that they start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ..patience import PATIENCE

# Started as `nohup pytest &` by a script, and by someone who holds signals back.
TESTS = """
import signal, subprocess, sys
for name in ("SIGINT", "SIGQUIT", "SIGHUP", "SIGTERM"):
    signal.signal(getattr(signal, name), signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
import runpy
runpy.run_path(sys.argv[1])
signal.raise_signal(signal.SIGHUP)  # no terminal, no matter
subprocess.run([sys.executable, "-c", sys.argv[2]], check=True)
"""
CHILD = """
import signal
print(*sorted(s.name for s in signal.valid_signals() if signal.getsignal(s) == signal.SIG_IGN))
print(*signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_children_hear_every_signal_whoever_started_the_tests() -> None:
    conftest = str(Path(__file__).parents[1] / "conftest.py")
    done = subprocess.run(
        [sys.executable, "-c", TESTS, conftest, CHILD],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "SIGPIPE SIGXFSZ\n\n"  # the two that Python itself ignores
