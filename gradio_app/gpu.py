"""ZeroGPU: a Space that has a GPU only while a function runs, in a process of its own.

Elsewhere `gpu` changes nothing. Import this module before anything that uses CUDA: `spaces` must
come first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

from mematte_plugin import MEMatteError

ZERO_GPU = os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")
"""Whether this is such a Space."""
SECONDS = 120
"""How long one job may take there: enough for 64 megapixels."""

if ZERO_GPU:
    import spaces

P = ParamSpec("P")
T = TypeVar("T")


def gpu(function: Callable[P, Iterator[T]]) -> Callable[P, Iterator[T]]:
    """Run a generator function where the GPU is.

    Its arguments and what it yields must be picklable. Closing the iterator closes the generator
    there too, and MEMatteErrors come through.
    """
    if not ZERO_GPU:
        return function

    @spaces.GPU(duration=SECONDS)  # type: ignore[untyped-decorator,unused-ignore]
    def there(*args: P.args, **kwargs: P.kwargs) -> Iterator[T | MEMatteError]:
        try:
            yield from function(*args, **kwargs)
        except MEMatteError as error:
            yield error  # raised, only the name of its class would arrive

    def here(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        steps = there(*args, **kwargs)
        try:
            for step in steps:
                if isinstance(step, MEMatteError):
                    raise step
                yield step
        finally:
            steps.close()

    return here
