"""What every test relies on."""

import contextlib
import gc
import os
import signal
import sys

import pytest
from hypothesis import HealthCheck, settings


def _hear_signals() -> None:
    """Let children begin with the default for every signal, whoever started the tests.

    What `nohup` or a script's `&` ignores, a child would ignore too. Handlers are not handed down.
    """
    handlers = {
        "SIGINT": signal.default_int_handler,
        "SIGHUP": lambda *_: None,  # the tests themselves live on, as nohup wants it
    }
    for number in signal.valid_signals():
        if signal.getsignal(number) == signal.SIG_IGN and number not in _PYTHON_IGNORES:
            name = getattr(number, "name", "")  # a real-time signal is a mere number
            signal.signal(number, handlers.get(name, signal.SIG_DFL))
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_SETMASK, ())


# In every process, and subprocess gives children the default.
_PYTHON_IGNORES = {getattr(signal, name, None) for name in ("SIGPIPE", "SIGXFSZ")}

with contextlib.suppress(ValueError):  # not in the main thread, where it was done before
    _hear_signals()

if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    # Each has its share of the cores. More threads than cores wait for each other by spinning.
    share = max(1, (os.cpu_count() or 1) // int(workers))
    os.environ.setdefault("OMP_NUM_THREADS", str(share))

# How long an example takes is the machine's business.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


CARDS = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
"""What decides which cards torch sees, in the processes that tests start, too."""


MARKED = {"training": "train", "browser": "browser", "comfyui": "comfyui"}
"""Folders of tests and the marker of all that is in them; see pyproject.toml."""


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of a folder."""
    for item in items:
        if name := MARKED.get(item.path.parent.name):
            item.add_marker(name)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the tests compute that take the `device` fixture."""
    parser.addoption(
        "--device", default="cpu", help="cpu (default), cuda, cuda:1, mps: where networks compute"
    )


def pytest_configure(config: pytest.Config) -> None:
    """See to it that "auto" is the CPU, on every machine, unless another device is asked for."""
    wanted: str = config.getoption("--device")
    kind = wanted.partition(":")[0]
    if kind == "cpu":
        os.environ.update(dict.fromkeys(CARDS, "-1"))
        if sys.platform == "darwin":
            import torch

            torch.backends.mps.is_available = lambda: False  # type: ignore[assignment]
        return
    import torch

    try:
        torch.zeros(1, device=wanted).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        why = str(error).strip().partition("\n")[0]
        words = f"no {kind.upper()} device here"
        raise pytest.UsageError(f"--device {wanted}: {words} ({why})") from None


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> str:
    """The device that `--device` names."""
    return str(request.config.getoption("--device"))


def pytest_collection_finish() -> None:
    """Keep garbage collections short: none looks again at what the tests' modules hold.

    Every matte makes one, and among all of torch, gradio and pytest it takes longer than a small
    network.
    """
    gc.collect()
    gc.freeze()
