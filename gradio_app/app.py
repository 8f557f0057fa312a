"""The Space's entry, `python app.py`; also `python gradio_app/app.py` in a checkout.

MEMATTE_MODEL chooses another model: a name, a Hub id or a path; MEMATTE_SUBJECT_MODEL,
MEMATTE_CLICKS_MODEL and MEMATTE_WORDS_MODEL do so for those that find subjects; MEMATTE_FIND=0
leaves finding out. GRADIO_SERVER_NAME and GRADIO_SERVER_PORT, which a Space sets, are the address
to listen on.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import sys
from pathlib import Path
from typing import Any

if not __package__:
    # Run as a script, the folder is not a package, and a Space may call it anything. A name of its
    # own keeps it apart from the gradio_app that mematte-plugin installs.
    folder = Path(__file__).resolve().parent
    spec = importlib.util.spec_from_file_location(
        "mematte_space", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = package
    spec.loader.exec_module(package)
    __package__ = spec.name

from . import gpu  # noqa: F401  # first: on ZeroGPU nothing may use CUDA before `spaces`
from .serving import serve
from .settings import Settings


def main() -> None:
    """Serve the page until Ctrl-C or SIGTERM."""
    # As in mematte_plugin.cli: torch would cache kernels of 1024 convolutions, twice.
    for cache in ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"):
        os.environ.setdefault(cache, "64")
    signal.signal(signal.SIGTERM, _interrupt)
    settings = Settings(
        model=os.environ.get("MEMATTE_MODEL") or Settings.model,
        find=os.environ.get("MEMATTE_FIND") != "0",
        subject_model=os.environ.get("MEMATTE_SUBJECT_MODEL") or None,
        clicks_model=os.environ.get("MEMATTE_CLICKS_MODEL") or None,
        words_model=os.environ.get("MEMATTE_WORDS_MODEL") or None,
        mcp=importlib.util.find_spec("mcp") is not None,
    )
    host = os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    port = int(os.environ.get("GRADIO_SERVER_PORT") or 7860)
    with contextlib.suppress(KeyboardInterrupt):
        serve(settings, host=host, port=port, started=lambda address: print(address, flush=True))  # noqa: T201


def _interrupt(number: int, frame: Any) -> None:
    del frame
    signal.signal(number, signal.SIG_IGN)  # a second one must not interrupt the clean-up
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
