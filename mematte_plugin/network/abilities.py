"""The abilities of each kind of device, and the oldest torch: the one place where the network asks.

CPU and CUDA (including ROCm) can do all that the network needs. Apple's MPS lacks some of it, and
all other kinds (XPU, NPU, DirectML, …) are treated like it: they take cheap detours, so that
PYTORCH_ENABLE_MPS_FALLBACK is never needed. Kinds other than CPU, CUDA and MPS are untested: they
need a memory budget, since their free memory is unknown here, and count as GPUs without a fused
attention kernel.

The abilities of MPS in torch 2.6 were read from its native_functions.yaml, operation by operation:
of all that a prediction or the estimation of colours needs it lacks `index_copy`,
`linalg.solve_ex` and `embedding_bag`.
"""

from __future__ import annotations

import torch

ABILITIES: dict[str, tuple[str, ...]] = {
    # Metal has no float64, nor do DirectML and some of Intel's GPUs. Sums go in float32 there.
    "float64": ("cpu", "cuda", "meta"),
    # MPS: a TypeError at the copy (pytorch#159076, closed after 2.9). Scaled on the host.
    "uint16": ("cpu", "cuda", "meta"),
    # linalg.solve_ex and embedding_bag (pytorch#162270): not on MPS in 2.6, there in 2.13, but
    # untested. The CPU makes the flow alphas.
    "flow": ("cpu", "cuda", "meta"),
}
"""The kinds of device that are sure to have each ability.

Two operations that MPS lacked or got wrong are avoided everywhere, at no cost: `index_copy_` (not
in 2.6; wrong values in development versions of 2.10, pytorch#166237) and bicubic resizing (not
before 2.6, pytorch#136123).

Other faults of MPS are known, and a run may meet them: `index_add_` leaves transposed tensors
unchanged on macOS 14 (pytorch#176159); copies to the CPU between views with the same strides and
gaps write wrong values (in 2.13, pytorch#189961); copies into float64 on the CPU write nothing (in
2.14, pytorch#197715).
"""

LEAST_MPS = (2, 6)
"""The oldest torch whose MPS has everything else."""


def able(device: torch.device, ability: str) -> bool:
    """Whether this kind of device is sure to have one of ABILITIES."""
    return device.type in ABILITIES[ability]


def carries(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether numbers of this type are sure to work there."""
    name = str(dtype).removeprefix("torch.")
    return name not in ABILITIES or able(device, name)


def refuse_old(device: torch.device, version: str = torch.__version__) -> None:
    """Raises NotImplementedError if this torch is too old for this kind of device."""
    found = tuple(int(part) for part in version.split(".")[:2])
    if device.type == "mps" and found < LEAST_MPS:
        wanted = ".".join(map(str, LEAST_MPS))
        raise NotImplementedError(
            f"torch {version} lacks operations on Apple's GPUs; install torch {wanted} or newer"
        )
