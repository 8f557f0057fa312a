"""ZeroGPU: a Space that has a GPU only while a function runs, in a process of its own.

Elsewhere `gpu` changes nothing. Import this module before whatever uses CUDA: `spaces` has to be
there first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from mematte_plugin import MEMatteError

ZERO_GPU = os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")
"""Whether this is such a Space."""
SECONDS = 120
"""How long one job may take there: 64 megapixels, and then some."""

if ZERO_GPU:
    import spaces

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class _Refused:
    """An error of ours on its way out of the other process: as an exception it would arrive as the
    name of its class."""

    error: Exception
    """What is raised again."""


def gpu(function: Callable[P, Iterator[T]]) -> Callable[P, Iterator[T]]:
    """Have a generator function run where the GPU is.

    Its arguments and what it yields must be picklable. Closing the iterator closes the generator,
    there too; MEMatteErrors come through.
    """
    if not ZERO_GPU:
        return function

    @spaces.GPU(duration=SECONDS)  # type: ignore[untyped-decorator,unused-ignore]
    def there(*args: P.args, **kwargs: P.kwargs) -> Iterator[T | _Refused]:
        try:
            yield from function(*args, **kwargs)
        except MEMatteError as error:
            yield _Refused(error)

    def here(*args: P.args, **kwargs: P.kwargs) -> Generator[T, None, None]:
        steps = there(*args, **kwargs)
        try:
            for step in steps:
                if isinstance(step, _Refused):
                    raise step.error
                yield step
        finally:
            steps.close()

    return here
