"""The network of the paper, one file per part. Pure computation: no files, no device policy."""

from .config import VARIANTS, Chunking, NetworkConfig
from .encoder import Progress
from .mematte import MEMatte, Prediction, TrainingOutput

__all__ = [
    "VARIANTS",
    "Chunking",
    "MEMatte",
    "NetworkConfig",
    "Prediction",
    "Progress",
    "TrainingOutput",
]
