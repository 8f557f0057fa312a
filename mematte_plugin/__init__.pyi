# The public names, each listed once: __init__.py loads them from here, and type checkers read them.
from .batch.run import BatchOptions as BatchOptions
from .batch.run import run_batch as run_batch
from .errors import (
    BudgetError as BudgetError,
)
from .errors import (
    DeviceLostError as DeviceLostError,
)
from .errors import (
    InputError as InputError,
)
from .errors import (
    MEMatteError as MEMatteError,
)
from .errors import (
    MEMatteWarning as MEMatteWarning,
)
from .errors import (
    OutputError as OutputError,
)
from .errors import (
    SettingError as SettingError,
)
from .errors import (
    WeightsError as WeightsError,
)
from .errors import (
    collect_notes as collect_notes,
)
from .foreground.edges import Edge as Edge
from .foreground.estimate import estimate_foreground as estimate_foreground
from .images.crops import Crop as Crop
from .images.photo import Photo as Photo
from .images.photo import scaled_down as scaled_down
from .images.read import Layer as Layer
from .images.read import read_photo as read_photo
from .images.write import write_image as write_image
from .matte import Matte as Matte
from .memory.exhaustion import trim_memory as trim_memory
from .memory.free import budget_for as budget_for
from .memory.plan import Plan as Plan
from .memory.request import plan_memory as plan_memory
from .memory.units import show_bytes as show_bytes
from .network import MEMatte as MEMatte
from .network import NetworkConfig as NetworkConfig
from .pipeline import (
    MattingPipeline as MattingPipeline,
)
from .pipeline import (
    cut as cut,
)
from .pipeline import (
    ready_pipeline as ready_pipeline,
)
from .pipeline import (
    release_pipelines as release_pipelines,
)
from .progress import Progress as Progress
from .progress import overall_progress as overall_progress
from .show.composite import composite as composite
from .show.overlays import (
    checkerboard as checkerboard,
)
from .show.overlays import (
    contact_sheet as contact_sheet,
)
from .show.overlays import (
    routing_overlay as routing_overlay,
)
from .show.overlays import (
    trimap_overlay as trimap_overlay,
)
from .trimap.trimap import (
    BAND_INSIDE as BAND_INSIDE,
)
from .trimap.trimap import (
    BAND_OUTSIDE as BAND_OUTSIDE,
)
from .trimap.trimap import (
    Stroke as Stroke,
)
from .trimap.trimap import (
    from_alpha as from_alpha,
)
from .trimap.trimap import (
    from_mask as from_mask,
)
from .trimap.trimap import (
    from_strokes as from_strokes,
)
from .trimap.trimap import (
    normalise_trimap as normalise_trimap,
)
from .weights.folder import models_in as models_in
from .weights.load import list_models as list_models
from .weights.load import load_network as load_network
from .weights.save import convert_weights as convert_weights
from .weights.save import save_network as save_network

__version__: str
