from .config import VARIANTS as VARIANTS
from .config import Chunking as Chunking
from .config import NetworkConfig as NetworkConfig
from .inputs import Light as Light
from .mematte import MEMatte as MEMatte
from .mematte import Prediction as Prediction
from .mematte import TrainingOutput as TrainingOutput
