"""The retrieval systems; `SYSTEMS` lists them all."""

from fgsbir.systems.b_gated_siamese import BGatedSiamese
from fgsbir.systems.b_graph_hierarchy import BGraphHierarchy
from fgsbir.systems.b_localised_coattn import BLocalisedCoattn
from fgsbir.systems.b_siamese import BSiamese
from fgsbir.systems.base import Optimisation, System
from fgsbir.systems.explicit_hierarchy import ExplicitHierarchy
from fgsbir.systems.layout_siamese import LayoutSiamese
from fgsbir.systems.node_system import NodeSettings
from fgsbir.systems.proposed import Proposed
from fgsbir.systems.raw_pixels import RawPixels
from fgsbir.systems.sketchbert_variant import SketchBertVariant
from fgsbir.systems.sketchformer_variant import SketchFormerVariant
from fgsbir.systems.swire import Swire
from fgsbir.systems.triplet_attn_sn import TripletAttnSN
from fgsbir.systems.triplet_sn import TripletSN
from fgsbir.systems.without_localised_coattn import WithoutLocalisedCoattn

SYSTEMS: dict[str, type[System]] = {
    "raw_pixels": RawPixels,
    "triplet_sn": TripletSN,
    "triplet_attn_sn": TripletAttnSN,
    "swire": Swire,
    "b_siamese": BSiamese,
    "b_gated_siamese": BGatedSiamese,
    "b_localised_coattn": BLocalisedCoattn,
    "b_graph_hierarchy": BGraphHierarchy,
    "sketchbert_variant": SketchBertVariant,
    "sketchformer_variant": SketchFormerVariant,
    "proposed": Proposed,
    "without_localised_coattn": WithoutLocalisedCoattn,
    "explicit_hierarchy": ExplicitHierarchy,
    "layout_siamese": LayoutSiamese,
}
"""All systems by the name that experiments and tables use."""

__all__ = [
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
]
