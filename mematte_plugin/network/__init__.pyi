from .config import VARIANTS as VARIANTS, Chunking as Chunking, NetworkConfig as NetworkConfig
from .inputs import Light as Light
from .mematte import MEMatte as MEMatte, Prediction as Prediction, TrainingOutput as TrainingOutput
