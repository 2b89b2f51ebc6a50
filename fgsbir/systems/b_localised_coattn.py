"""B-Localised-Coattn."""

from __future__ import annotations

from fgsbir.losses import PairLoss
from fgsbir.models.backbone import Backbone
from fgsbir.models.hierarchy import AttendedMaximum
from fgsbir.systems.base import Optimisation
from fgsbir.systems.node_system import NodeSettings, NodeSystem


class BLocalisedCoattn(NodeSystem):
    """The paper's model without its hierarchy: co-attention once, then the maximum over the nodes of each branch.

    The baseline of table 1 and, with the same scores, "w/o Hierarchy" of table 2 (Sain et al. 2020, slide 10;
    the authors' B-Localised_Co-attn code). With the gate "product" it is what their released main code computes
    under the name of the proposed model.

    Args:
        backbone: network for sketches and photos.
        nodes: settings of the nodes and their matching.
        loss: loss over the pairs of a batch.
        optimisation: optimiser and schedule.

    Deviations:
        As `Proposed`: nodes are projected to `dim` and rectified, and `global_weight` above 0 is ours.
    """

    name = "B-Localised-Coattn"
    paper = "Sain et al., BMVC 2020"

    def __init__(
        self,
        backbone: Backbone,
        nodes: NodeSettings = NodeSettings(),  # noqa: B008 (frozen)
        loss: PairLoss | None = None,
        optimisation: Optimisation = Optimisation(),  # noqa: B008 (frozen)
    ) -> None:
        regions = nodes.region_encoder(backbone)
        super().__init__(backbone, nodes, regions, AttendedMaximum(nodes.coattention()), loss, optimisation)
