"""The page and the endpoints as one server: its queue, limits, files, and its end.

Gradio is imported here only when it is needed, since it fixes some of its folders on import.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mematte_plugin import SettingError

from .files import files_in, own_folder, sweep
from .settings import Settings

if TYPE_CHECKING:
    from gradio import Blocks

SWEEP_SECONDS = 60.0
"""How often old files are looked for, at least."""
SESSIONS = 300
"""How many visitors' pages are remembered; every one takes some hundred kilobytes."""


def build(settings: Settings) -> Blocks:
    """The page with its endpoints, ready to launch.

    Gradio keeps files where GRADIO_TEMP_DIR says now.
    """
    from .api import add_endpoints
    from .arguments import Demo
    from .page import build_page

    # No telemetry, no look for a newer version.
    with Demo(title="MEMatte: cut out hair, fur and soft edges", analytics_enabled=False) as demo:
        build_page(settings)
        add_endpoints(settings)
    # api_open would let requests pass the queue.
    demo.queue(max_size=settings.queue_size, api_open=False)
    return demo


def serve(
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    share: bool = False,
    started: Callable[[str], None] | None = None,
) -> None:
    """Serve until interrupted, by Ctrl-C or SIGTERM, then remove every file of this server.

    started: called with each address once the server answers, in the place of a printed line.

    Raises KeyboardInterrupt at its end; SettingError for an address that cannot be listened on, or
    MCP without its packages.
    """
    if settings.mcp and find_spec("mcp") is None:
        raise SettingError('mcp: is not installed; pip install "mematte-plugin[mcp]"')
    # Gradio makes statistics of its latest events, 10 000, anew after each of them.
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "100")
    with own_folder() as folder, _terminable():
        from .engine import shut_down, warm_up

        demo = build(settings)
        # Before anybody can upload: what comes in while it starts is deleted in its time, too.
        examples = files_in(folder)
        try:
            _launch(demo, settings, host, port, share=share, quiet=started is not None)
            warm_up(settings)
            if started is not None:
                addresses: tuple[str | None, ...] = (demo.local_url, demo.share_url)
                for address in filter(None, addresses):
                    started(address)
            _keep_tidy(folder, settings, examples)
        finally:
            shut_down()
            demo.close(verbose=False)


def _launch(
    demo: Blocks, settings: Settings, host: str, port: int, *, share: bool, quiet: bool
) -> None:
    """Start the server in a thread of its own."""
    from starlette.middleware import Middleware

    from .guard import Guard
    from .theme import launch_options

    try:
        demo.launch(
            prevent_thread_lock=True,
            quiet=quiet,
            inline=False,
            server_name=host,
            server_port=port,
            share=share,
            state_session_capacity=SESSIONS,
            show_error=True,
            max_file_size=settings.max_bytes,
            allowed_paths=[],
            run_history=False,
            enable_monitoring=False,
            ssr_mode=False,  # which would need Node
            pwa=False,
            num_workers=0,
            mcp_server=settings.mcp,
            app_kwargs={"middleware": [Middleware(Guard, settings=settings)]},
            **launch_options(),
        )
    except OSError as error:
        raise SettingError(
            f"{host}, port {port}: cannot be listened on; choose another port or address"
        ) from error
    if settings.mcp:
        from .tools import tidy

        tidy(demo)


def _keep_tidy(folder: Path, settings: Settings, keep: frozenset[Path]) -> None:
    """Delete old files until this is interrupted. keep: those that stay."""
    seconds = settings.keep_minutes * 60
    while True:
        # With a timeout, as without one Windows does not hear Ctrl-C.
        threading.Event().wait(min(SWEEP_SECONDS, max(1.0, seconds / 10)))
        sweep(folder, seconds, keep)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Have SIGTERM end things as Ctrl-C does, unless somebody has other plans for it."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def stop(number: int, frame: Any) -> None:
        del frame
        signal.signal(number, signal.SIG_IGN)  # a second one must not disturb the tidying up
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
