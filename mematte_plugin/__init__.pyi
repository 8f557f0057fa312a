# The public names, each listed once: __init__.py loads them from here, and type checkers read them.
from .batch.options import BatchOptions as BatchOptions
from .batch.run import run_batch as run_batch
from .errors import (
    BudgetError as BudgetError,
    DeviceLostError as DeviceLostError,
    InputError as InputError,
    MEMatteError as MEMatteError,
    MEMatteWarning as MEMatteWarning,
    OutputError as OutputError,
    SettingError as SettingError,
    WeightsError as WeightsError,
    collect_notes as collect_notes,
)
from .foreground.edges import Edge as Edge
from .foreground.estimate import estimate_foreground as estimate_foreground
from .guide import Guided as Guided
from .images.arrays import scaled_down as scaled_down
from .images.crops import Crop as Crop
from .images.encode import write_image as write_image
from .images.photo import Photo as Photo
from .images.read import Layer as Layer, read_photo as read_photo
from .jobs import Job as Job, Stopped as Stopped
from .matte import Matte as Matte
from .memory.exhaustion import trim_memory as trim_memory
from .memory.free import budget_for as budget_for
from .memory.plan import Plan as Plan
from .memory.request import plan_memory as plan_memory
from .memory.units import show_bytes as show_bytes
from .network import MEMatte as MEMatte, NetworkConfig as NetworkConfig
from .pipeline import (
    MattingPipeline as MattingPipeline,
    cut as cut,
    ready_pipeline as ready_pipeline,
    release_pipelines as release_pipelines,
)
from .progress import Progress as Progress, overall_progress as overall_progress
from .show.composite import composite as composite
from .show.overlays import (
    checkerboard as checkerboard,
    contact_sheet as contact_sheet,
    routing_overlay as routing_overlay,
    trimap_overlay as trimap_overlay,
)
from .subject.find import find_subject as find_subject
from .subject.found import SubjectMask as SubjectMask
from .trimap.painting import (
    Stroke as Stroke,
    from_painting as from_painting,
    from_strokes as from_strokes,
)
from .trimap.soft import from_soft as from_soft, read_soft as read_soft
from .trimap.softness import is_soft as is_soft
from .trimap.trimap import (
    BAND_INSIDE as BAND_INSIDE,
    BAND_OUTSIDE as BAND_OUTSIDE,
    from_alpha as from_alpha,
    from_mask as from_mask,
    normalise_trimap as normalise_trimap,
)
from .weights.files import models_in as models_in
from .weights.load import list_models as list_models, load_network as load_network
from .weights.save import convert_weights as convert_weights, save_network as save_network

__version__: str
