"""What experiments are called in tables and figures."""

from __future__ import annotations

import pytest

from fgsbir.report.cells import label_of


@pytest.mark.parametrize(
    ("stem", "label"),
    [
        ("proposed", "Proposed"),
        ("layout_siamese", "Layout-Siamese"),
        ("b_localised_coattn", "B-Localised-Coattn"),  # it fills "w/o Hierarchy" too
        ("proposed_coarse", "Sketch-coarse"),  # a row of its own
        ("b_siamese_coarse", "B-Siamese, coarse"),
        ("b_siamese_coarse_plus", "B-Siamese, coarse++"),
        ("proposed_k8", "Proposed, 8 regions"),
        ("proposed_k20", "Proposed, 20 regions"),
        ("mine", "mine"),
        ("mine_k8", "mine_k8"),
    ],
)
def test_label(stem: str, label: str) -> None:
    assert label_of(stem) == label
