"""An arbitrary user id without a home folder, as containers have it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..patience import PATIENCE

# What `pwd` says of such an id; tests may run as any user.
CODE = """
import sys
try:
    import pwd
except ImportError:
    pwd = None
if pwd:
    def getpwuid(uid): raise KeyError("getpwuid(): uid not found")
    pwd.getpwuid = getpwuid
from mematte_plugin.cli import main
sys.argv[0] = "mematte"
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows its users otherwise")
@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        (["info"], 0, "Hub cache"),
        (["models", "download", "vitmatte-small-composition-1k"], 1, "set HF_HOME to a"),
        (["comfyui", "install", "~/ComfyUI"], 1, "home directory"),
    ],
)
def test_it_works_or_says_what_to_do_and_leaves_nothing(
    command: list[str], code: int, says: str, tmp_path: Path
) -> None:
    homes = {"HOME", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"}
    environment = {name: value for name, value in os.environ.items() if name not in homes}
    environment |= {"TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", CODE, *command],
        capture_output=True, text=True, check=False, timeout=PATIENCE,
        cwd=tmp_path, env=environment,
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert (done.returncode, says in output) == (code, True), output
    assert "failed" not in output
    assert "unexpected" not in output
    assert not list(tmp_path.iterdir())
