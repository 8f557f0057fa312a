"""What a device can do: whether it is there, its precisions, its attention kernels."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from ..errors import SettingError

if TYPE_CHECKING:
    import torch

HALF = {"cuda": "float16", "mps": "float16", "cpu": "bfloat16"}
"""The half precision of each kind of device."""


def resolve_device(device: str | torch.device) -> torch.device:
    """The device asked for; "auto" is CUDA, else Apple's MPS, else the CPU.

    Raises SettingError for one that is unknown, absent, or does not compute.
    """
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen).item()  # computing there is what counts
    except (RuntimeError, AssertionError, ImportError, TypeError, NotImplementedError) as error:
        why = str(error).strip().partition("\n")[0]
        raise SettingError(
            f"device {str(device)!r} is not available here ({why}); use auto or cpu"
        ) from error
    return chosen


@lru_cache
def fused_attention(device: torch.device, dtype: torch.dtype, width: int) -> bool:
    """Whether attention runs there in a kernel that never holds the logits, found out by trying.

    Args:
        device: where.
        dtype: precision of queries, keys and values.
        width: channels of a head.
    """
    import torch
    from torch.nn import functional as F
    from torch.nn.attention import SDPBackend, sdpa_kernel

    if device.type not in ("cpu", "cuda"):
        return False  # such backends do not heed the choice below, so trying would tell nothing
    from ..torch_state import own_state

    some = torch.zeros(1, 1, 64, width, device=device, dtype=dtype)
    wanted = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]
    try:
        with own_state(device), sdpa_kernel(wanted):
            F.scaled_dot_product_attention(some, some, some)
    except RuntimeError:  # no kernel of these
        return False
    return True
