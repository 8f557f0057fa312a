"""The networks kept loaded, so that a second click need not load them again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..locks import ForkSafeLock
from ..memory.exhaustion import release

_ready: dict[str, tuple[Any, Any]] = {}
"""Of each kind, the key and the network of the latest one."""
_lock = ForkSafeLock()


def ready(kind: str, key: Any, load: Callable[[], Any]) -> Any:
    """The network of a kind ("segmentation", "clicks", …), loaded unless it is that of the key."""
    with _lock:
        held = _ready.get(kind)
        if held is None or held[0] != key:
            _ready.pop(kind, None)
            held = (key, load())
            _ready[kind] = held
        return held[1]


def release_subjects() -> None:
    """Drop the networks that find subjects, and what they hold of photos; give memory back."""
    with _lock:
        if not _ready:
            return
        _ready.clear()
    release("cpu")
