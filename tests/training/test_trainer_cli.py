"""`mematte train`, as a user or a script meets it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mematte_plugin.cli.shell import run
from mematte_plugin.training.checkpoint import CHECKPOINT, load_state
from mematte_plugin.training.recipe import RECIPES, Recipe
from mematte_plugin.training.start import trained_network
from mematte_plugin.weights.load import load_network
from tests.networks import SMALL
from tests.patience import PATIENCE, until

from .trainer_bank import small_bank

NETWORK = {k: list(v) if isinstance(v, tuple) else v for k, v in SMALL.items()}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bank and a short recipe in the current directory."""
    small_bank(tmp_path / "bank", count=3)
    recipe = {"network": NETWORK, "stages": [{"crop": 64, "batch": 2, "steps": 3}], "pool": 4}
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    monkeypatch.chdir(tmp_path)
    return tmp_path


TRAIN = ["train", "run", "run", "--data", "bank", "--recipe", "recipe.json"]
TRAIN += ["--device", "cpu", "--workers", "0"]


def test_a_model_is_trained_and_shipped(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(TRAIN) == 0
    assert "step 3 of 3" in capsys.readouterr().out
    assert run([*TRAIN, "--json"]) == 0  # nothing is left to do
    done = json.loads(capsys.readouterr().out)
    assert (done["run"], done["step"], done["steps"], done["skipped"]) == ("run", 3, 3, 0)
    assert run(["train", "export", "run", "model", "--data", "bank"]) == 0
    assert load_network(folder / "model").config.embed_dim == SMALL["embed_dim"]


@pytest.mark.parametrize("name", ["mematte-tiny", "mematte-tiny-finetune"])
def test_training_continues_from_the_built_in_model(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = Recipe.read(name).to_dict()
    # One short step at a tiny rate: the weights stay as they are.
    values |= {"stages": [{"crop": 96, "batch": 2, "steps": 1}], "pool": 2, "lr": 1e-12}
    (folder / "recipe.json").write_text(json.dumps(values))
    given = [] if values["init"] else ["--init", "mematte-tiny"]
    assert run([*TRAIN, *given]) == 0
    assert "step 1 of 1" in capsys.readouterr().out
    assert len((folder / "run" / "log.csv").read_text().splitlines()) == 2
    start, trained = load_network("mematte-tiny"), trained_network(folder / "run")
    assert trained.config == start.config
    for key, parameter in start.named_parameters():
        assert torch.allclose(trained.get_parameter(key), parameter, atol=1e-5), key
    assert run(["train", "export", "run", "model", "--data", "bank"]) == 0
    assert "started from mematte-tiny" in (folder / "model" / "README.md").read_text()


def test_the_help_names_every_built_in_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "run", "--help"]) == 0
    text = capsys.readouterr().out
    for path in RECIPES.glob("*.json"):
        assert path.stem in text


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--recipe", "huge"], 2, "mematte-tiny"),
        (["--minutes", "-1"], 2, "--minutes"),
        (["--minutes", "nan"], 2, "--minutes"),
        (["--precision", "int4"], 2, "bf16"),
        (["--device", "abacus"], 2, "cuda"),
        (["--data", "nowhere"], 1, "nowhere"),
        (["--teacher", "nobody"], 1, "nobody"),
        (["--init", "nobody"], 1, "nobody"),
        (["--validate", "nowhere"], 1, "nowhere"),
    ],
)
def test_bad_input_is_one_line(
    options: list[str], code: int, words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = json.loads((folder / "recipe.json").read_text())
    distilling = {**values, "distillation": 1.0 if "--teacher" in options else 0.0}
    (folder / "recipe.json").write_text(json.dumps(distilling))
    assert run([*TRAIN, *options]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert words in captured.err
    assert "unexpected" not in captured.err


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_saves_and_the_same_command_continues(folder: Path) -> None:
    values = json.loads((folder / "recipe.json").read_text())
    values["stages"][0]["steps"] = 100_000
    (folder / "recipe.json").write_text(json.dumps(values))
    command = [sys.executable, "-m", "mematte_plugin", *TRAIN]
    command[command.index("0")] = "1"  # with a worker, which gets the signal too
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    reached: list[int] = []
    for rows in (1, 2):
        with subprocess.Popen(command, start_new_session=True, **pipes) as process:  # type: ignore[call-overload]
            try:
                until(lambda: _lines(folder / "run/log.csv") > rows or process.poll() is not None)  # noqa: B023
                os.killpg(process.pid, signal.SIGINT)
                out, err = process.communicate(timeout=PATIENCE)
            finally:
                process.kill()
        assert process.returncode == 130, err
        assert "Traceback" not in err
        assert "the same command continues" in out
        assert (folder / "run" / CHECKPOINT).is_file()
        reached.append(int(out.split("step ")[1].split()[0]))
    assert reached[1] > reached[0] > 0


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.is_file() else 0


@pytest.mark.slow
def test_processes_share_a_batch_and_stop_together(folder: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    launch += ["--standalone", "-m", "mematte_plugin", *TRAIN]
    done = subprocess.run(launch, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert load_state(folder / "run" / CHECKPOINT)["step"] == 3
