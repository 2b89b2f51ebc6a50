"""Fine-grained sketch-based image retrieval: systems, data and metrics of the paper and its successors.

The names below, and the rooms (`fgsbir.losses`, ...), are loaded when they are first used, so that `import fgsbir` is
cheap.

    import fgsbir

    model = fgsbir.load_model("runs/chair_v2/proposed/...")
    model.rank("sketch.svg", "photos/", top=10)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

_MODULES = {
    "fgsbir.data.datamodule": ["SketchPhotoDataModule"],
    "fgsbir.data.dataset": ["Rendering"],
    "fgsbir.data.datasets": ["ChairV1", "ChairV2", "DataSource", "Embedded", "Folder", "ShoeV2"],
    "fgsbir.data.reading": ["Reader"],
    "fgsbir.data.transforms": ["Augmentation"],
    "fgsbir.errors": ["InputError"],
    "fgsbir.losses": ["ContrastiveLoss", "InfoNCELoss", "JudgedTripletLoss", "PairLoss", "TripletLoss"],
    "fgsbir.metrics.retrieval": ["RetrievalMetrics"],
    "fgsbir.models.backbone": ["Backbone"],
    "fgsbir.models.sketch_a_net": ["SketchANet"],
    "fgsbir.models.stroke_transformer": ["StrokeTransformer"],
    "fgsbir.retrieval.distances": ["Hit"],
    "fgsbir.runs.loading": ["load_model"],
    "fgsbir.sketch.formats": ["read_sketch"],
    "fgsbir.sketch.strokes": ["VectorSketch"],
    "fgsbir.systems": [
        "SYSTEMS",
        "BGatedSiamese",
        "BGraphHierarchy",
        "BLocalisedCoattn",
        "BSiamese",
        "ExplicitHierarchy",
        "LayoutSiamese",
        "NodeSettings",
        "Optimisation",
        "Proposed",
        "RawPixels",
        "SketchBertVariant",
        "SketchFormerVariant",
        "Swire",
        "System",
        "TripletAttnSN",
        "TripletSN",
        "WithoutLocalisedCoattn",
    ],
}
_HOMES = {name: (module, name) for module, names in _MODULES.items() for name in names}
_HOMES["SwireData"] = ("fgsbir.data.datasets", "Swire")  # the dataset; `Swire` is the system

_ROOMS = ["data", "losses", "metrics", "models", "regions", "report", "retrieval", "runs", "search", "serve", "sketch"]
_ROOMS += ["sweep", "systems", "visualization"]

__all__ = sorted(["__version__", *_HOMES])

if TYPE_CHECKING:  # `as` says that a name is public
    from fgsbir.data.datamodule import SketchPhotoDataModule as SketchPhotoDataModule
    from fgsbir.data.dataset import Rendering as Rendering
    from fgsbir.data.datasets import ChairV1 as ChairV1
    from fgsbir.data.datasets import ChairV2 as ChairV2
    from fgsbir.data.datasets import DataSource as DataSource
    from fgsbir.data.datasets import Embedded as Embedded
    from fgsbir.data.datasets import Folder as Folder
    from fgsbir.data.datasets import ShoeV2 as ShoeV2
    from fgsbir.data.datasets import Swire as _SwireData
    from fgsbir.data.reading import Reader as Reader
    from fgsbir.data.transforms import Augmentation as Augmentation
    from fgsbir.errors import InputError as InputError
    from fgsbir.losses import ContrastiveLoss as ContrastiveLoss
    from fgsbir.losses import InfoNCELoss as InfoNCELoss
    from fgsbir.losses import JudgedTripletLoss as JudgedTripletLoss
    from fgsbir.losses import PairLoss as PairLoss
    from fgsbir.losses import TripletLoss as TripletLoss
    from fgsbir.metrics.retrieval import RetrievalMetrics as RetrievalMetrics
    from fgsbir.models.backbone import Backbone as Backbone
    from fgsbir.models.sketch_a_net import SketchANet as SketchANet
    from fgsbir.models.stroke_transformer import StrokeTransformer as StrokeTransformer
    from fgsbir.retrieval.distances import Hit as Hit
    from fgsbir.runs.loading import load_model as load_model
    from fgsbir.sketch.formats import read_sketch as read_sketch
    from fgsbir.sketch.strokes import VectorSketch as VectorSketch
    from fgsbir.systems import SYSTEMS as SYSTEMS
    from fgsbir.systems import BGatedSiamese as BGatedSiamese
    from fgsbir.systems import BGraphHierarchy as BGraphHierarchy
    from fgsbir.systems import BLocalisedCoattn as BLocalisedCoattn
    from fgsbir.systems import BSiamese as BSiamese
    from fgsbir.systems import ExplicitHierarchy as ExplicitHierarchy
    from fgsbir.systems import LayoutSiamese as LayoutSiamese
    from fgsbir.systems import NodeSettings as NodeSettings
    from fgsbir.systems import Optimisation as Optimisation
    from fgsbir.systems import Proposed as Proposed
    from fgsbir.systems import RawPixels as RawPixels
    from fgsbir.systems import SketchBertVariant as SketchBertVariant
    from fgsbir.systems import SketchFormerVariant as SketchFormerVariant
    from fgsbir.systems import Swire as Swire
    from fgsbir.systems import System as System
    from fgsbir.systems import TripletAttnSN as TripletAttnSN
    from fgsbir.systems import TripletSN as TripletSN
    from fgsbir.systems import WithoutLocalisedCoattn as WithoutLocalisedCoattn

    SwireData = _SwireData  # an import under another name would be private


def __getattr__(name: str) -> Any:
    """Imports a public name or a room when it is first used (PEP 562)."""
    if name in _ROOMS:
        return import_module(f"fgsbir.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'fgsbir' has no attribute '{name}'")
    module, attribute = _HOMES[name]
    value = globals()[name] = getattr(import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return __all__
