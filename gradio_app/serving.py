"""The page and the endpoints as one server: its queue, limits, files, and its end.

Gradio is imported only when it is needed, because it fixes some of its folders on import.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mematte_plugin import SettingError

from .files import files_in, own_folder, sweep
from .settings import Settings

if TYPE_CHECKING:
    from gradio import Blocks

SWEEP_SECONDS = 60.0
"""Longest time between two sweeps."""
SESSIONS = 300
"""How many visitors' pages the server remembers, each taking some hundred kilobytes."""


def serve(
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    share: bool = False,
    started: Callable[[str], None] | None = None,
) -> None:
    """Serve until KeyboardInterrupt, then delete every file of this server and raise it.

    started: called with each address once the server answers, instead of printing a line.

    Raises SettingError for an address that cannot be listened on.
    """
    # After each event, Gradio computes statistics of the latest 10,000.
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "100")
    with own_folder() as folder:
        from .job import shut_down, warm_up

        demo = build(settings)
        # Before anyone can upload: what arrives during the start is swept, too.
        examples = files_in(folder)
        try:
            _launch(demo, settings, host, port, share=share, quiet=started is not None)
            warm_up(settings)
            if started is not None:
                addresses: tuple[str | None, ...] = (demo.local_url, demo.share_url)
                for address in filter(None, addresses):
                    started(address)
            seconds = settings.keep_minutes * 60
            while True:
                # With a timeout, because without one Windows does not notice Ctrl-C.
                threading.Event().wait(min(SWEEP_SECONDS, max(1.0, seconds / 10)))
                sweep(folder, seconds, examples)
        finally:
            shut_down()
            demo.close(verbose=False)


def build(settings: Settings) -> Blocks:
    """The page with its endpoints, ready to launch. Gradio keeps its files in GRADIO_TEMP_DIR."""
    from .api import add_endpoints
    from .arguments import Demo
    from .find_events import FindEvents
    from .page_state import Page
    from .photo_events import PhotoEvents
    from .result_events import ResultEvents
    from .run_events import RunEvents
    from .subject_events import SubjectEvents

    # analytics_enabled: telemetry, and the look for a newer version.
    with Demo(title="MEMatte: cut out hair, fur and soft edges", analytics_enabled=False) as demo:
        page = Page(settings)
        SubjectEvents(page)
        runs = RunEvents(page, ResultEvents(page))
        FindEvents(page, runs)
        runs.let_cancel()
        PhotoEvents(page, runs.events)
        add_endpoints(demo, settings)
    # api_open would let requests pass the queue.
    demo.queue(max_size=settings.queue_size, api_open=False)
    return demo


def _launch(demo: Blocks, settings: Settings, host: str, port: int, **options: Any) -> None:
    """Start the server in a thread of its own."""
    from starlette.middleware import Middleware

    from .guard import Guard
    from .theme import launch_options

    try:
        demo.launch(
            prevent_thread_lock=True,
            server_name=host,
            server_port=port,
            state_session_capacity=SESSIONS,
            show_error=True,
            max_file_size=settings.max_bytes,
            run_history=False,
            enable_monitoring=False,
            pwa=False,
            ssr_mode=False,  # which would need Node
            mcp_server=settings.mcp,
            app_kwargs={"middleware": [Middleware(Guard, settings=settings)]},
            **launch_options(),
            **options,
        )
    except OSError as error:
        raise SettingError(
            f"{host}, port {port}: cannot be listened on; choose another port or address"
        ) from error
    if settings.mcp:
        from .tools import answer_in_text

        answer_in_text(demo)
