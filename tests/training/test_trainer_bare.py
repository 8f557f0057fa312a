"""A machine with torch, numpy, opencv, accelerate and safetensors can train, and nothing more."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mematte_plugin.training.checkpoint import CHECKPOINT, load_state
from tests.networks import SMALL
from tests.patience import PATIENCE

from .trainer_bank import small_bank

BARE = '''
import sys

MISSING = {
    "PIL", "OpenEXR", "bpy", "numba", "pymatting", "rich", "scipy", "skimage", "tifffile",
    "typer", "tensorboard",
}


class Without:
    """A finder that finds what another one finds, but for what is missing."""

    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in MISSING:
            return None
        return self.finder.find_spec(name, path, target)

    def __getattr__(self, name):  # of packages' versions, which accelerate asks for
        return getattr(self.finder, name)


sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
from mematte_plugin.training.__main__ import main

sys.exit(main(sys.argv[1:]))
'''


@pytest.mark.slow
def test_training_goes_on_in_slices_on_a_bare_machine(tmp_path: Path) -> None:
    small_bank(tmp_path / "bank", count=3)
    network = {k: list(v) if isinstance(v, tuple) else v for k, v in SMALL.items()}
    recipe = {
        "network": {**network, "guidance": "nearest"},
        "stages": [{"crop": 64, "batch": 2, "steps": 4}],
        "data": "recomposed",
        "pool": 4,
    }
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    (tmp_path / "bare.py").write_text(BARE)
    command = [sys.executable, "bare.py", "run", "run", "--data", "bank", "--recipe"]
    command += ["recipe.json", "--device", "cpu", "--workers", "0"]

    def call(*more: str) -> subprocess.CompletedProcess[str]:
        line = [*command, *more]
        return subprocess.run(
            line, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    done = call("--minutes", "0")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "run" / CHECKPOINT).exists()
    done = call("--minutes", "5")
    assert done.returncode == 0, done.stderr
    assert "step 4 of 4" in done.stderr
    assert (tmp_path / "run" / CHECKPOINT).is_file()

    done = call("--device", "tpu")
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("error: device 'tpu'")


@pytest.mark.slow
def test_processes_share_a_batch_and_stop_together(tmp_path: Path) -> None:
    small_bank(tmp_path / "bank", count=3)
    network = {k: list(v) if isinstance(v, tuple) else v for k, v in SMALL.items()}
    recipe = {"network": network, "stages": [{"crop": 64, "batch": 3, "steps": 3}]}
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc_per_node",
        "2",
        "--standalone",
    ]
    command += ["-m", "mematte_plugin.training", "run", "run", "--data", "bank"]
    command += ["--recipe", "recipe.json", "--device", "cpu", "--workers", "0"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    assert load_state(tmp_path / "run" / CHECKPOINT)["step"] == 3
