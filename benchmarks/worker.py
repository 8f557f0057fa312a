"""A process that calls functions for `runner.py`; both speak lines of JSON.

It ends when its input does, so that none is left behind when the asking program is killed.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import Any


def serve() -> None:
    """Answer the commands on stdin."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # keep what libraries print out of the answers
    commands: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(commands,), daemon=True).start()
    _die_first()
    while True:
        command = json.loads(commands.get())
        answer = _answer(command["function"], command["arguments"])
        _make_room(command["arguments"].get("device", "cpu"))
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _answer(function: str, arguments: dict[str, Any]) -> dict[str, Any]:
    from mematte_plugin import SettingError
    from mematte_plugin.memory.exhaustion import is_out_of_memory

    module, _, name = function.partition(":")
    try:
        return {"run": getattr(import_module(module), name)(**arguments)}
    except SettingError as error:
        return {"skipped": " ".join(str(error).split())[:500]}
    except (Exception, SystemExit) as error:
        if is_out_of_memory(error):
            return {"failed": "out of memory"}
        return {"failed": f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]}


def _make_room(device: str) -> None:
    """Give back what others need in their turns."""
    from mematte_plugin.memory.exhaustion import release

    gc.collect()
    if device.startswith("cuda"):
        import torch

        free, total = torch.cuda.mem_get_info(device)
        if free > total / 2:  # keep the cache: filling it again would cost time
            return
    release(device)


def _listen(commands: queue.Queue[str]) -> None:
    for line in sys.stdin:
        commands.put(line)
    os._exit(0)  # even in the middle of a run: there is no reader left


def _die_first() -> None:
    """If memory runs out, the kernel should kill this process and no other."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError:
        return


if __name__ == "__main__":
    serve()
