"""Learning rates over a training of any length."""

from types import SimpleNamespace

import pytest

from fgsbir.models.backbone import Backbone
from fgsbir.systems import BSiamese, Proposed, WithoutLocalisedCoattn
from fgsbir.systems.base import Optimisation
from fgsbir.systems.node_system import NodeSettings

LR = 0.5


def rates(steps, warmup):
    """The learning rate of each step."""
    system = BSiamese(Backbone("test_efficientnet", 1), optimisation=Optimisation(lr=LR, warmup=warmup))
    system.trainer = SimpleNamespace(estimated_stepping_batches=steps)
    configured = system.configure_optimizers()
    optimizer, cycle = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    seen = []
    for step in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step + 1 < steps:
            cycle.step()
    return seen


@pytest.mark.parametrize("warmup", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("steps", [1, 2, 4, 5, 10, 50])
def test_one_cycle_rises_to_the_peak_and_falls_to_nearly_nothing(steps, warmup):
    seen = rates(steps, warmup)
    top = seen.index(max(seen))
    assert seen[: top + 1] == sorted(seen[: top + 1])
    assert seen[top:] == sorted(seen[top:], reverse=True)
    assert abs(top - max(warmup * steps - 1, 0)) <= 0.5
    if steps > 2:
        assert max(seen) > 0.7 * LR
        assert seen[-1] < 1e-3 * LR


@pytest.mark.parametrize("kind", [Proposed, WithoutLocalisedCoattn])
def test_backbone_and_matcher_learn_at_rates_of_their_own(kind):
    optimisation = Optimisation(lr=LR, backbone_lr_factor=0.3, matcher_lr_factor=0.1, schedule="constant")
    system = kind(Backbone("test_efficientnet", 1), NodeSettings(8, 4), optimisation=optimisation)
    groups = system.configure_optimizers().param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert len(rates) == sum(len(group["params"]) for group in groups)
    for name, parameter in system.named_parameters():
        if not parameter.requires_grad:  # shifts of a folded batch norm
            continue
        part = name.split(".")[0]
        factor = {"backbone": 0.3, "regions": 1.0}.get(part, 0.1)
        assert rates.pop(id(parameter)) == pytest.approx(LR * factor), name
    assert not rates
