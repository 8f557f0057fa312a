"""The Space's entry, `python app.py`; also `python gradio_app/app.py` in a checkout.

MEMATTE_MODEL chooses another model: a name, a Hub id or a path. GRADIO_SERVER_NAME and
GRADIO_SERVER_PORT say where to listen; a Space sets them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from pathlib import Path

if not __package__:
    # Run as a script the folder is no package, and in a Space it is called anything. Under a name
    # of its own it does not meet the gradio_app that comes with mematte-plugin.
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

from . import gpu  # noqa: F401  # first: on ZeroGPU nothing may meet CUDA before `spaces`
from .serving import serve
from .settings import Settings


def main() -> None:
    """Serve the page until interrupted."""
    # As in mematte_plugin.cli: torch would cache kernels of 1024 convolutions, twice.
    for cache in ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"):
        os.environ.setdefault(cache, "64")
    settings = Settings(
        model=os.environ.get("MEMATTE_MODEL") or Settings.model,
        mcp=importlib.util.find_spec("mcp") is not None,
    )
    host = os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    port = int(os.environ.get("GRADIO_SERVER_PORT") or 7860)
    with contextlib.suppress(KeyboardInterrupt):
        serve(settings, host=host, port=port, started=lambda address: print(address, flush=True))  # noqa: T201


if __name__ == "__main__":
    main()
