"""Messages of the page while a cell runs."""

from __future__ import annotations

from typing import Any


def answer_beside_cells(widget: Any) -> None:
    """Have a widget's messages handled in the thread that the page asks for, its subshell.

    ipykernel 7 handles them where the widget's last message was sent from instead. That is mostly a
    cell's thread, in which they wait until the cell has ended, a press of Cancel included. For
    widgets whose handlers run in any thread. Without effect where the kernel knows no subshells.
    """
    if widget.comm is not None and hasattr(widget.comm, "_reply_subshell_for"):
        widget.comm._reply_subshell_for = None
