"""Which experiment fills which cell of the paper's tables."""

from __future__ import annotations

from pathlib import PurePath

METHODS = {
    "Triplet-SN": "triplet_sn",
    "Triplet-Attn-SN": "triplet_attn_sn",
    "SWIRE": "swire",
    "B-Siamese": "b_siamese",
    "B-Gated-Siamese": "b_gated_siamese",
    "B-Localised-Coattn": "b_localised_coattn",
    "B-Graph-Hierarchy": "b_graph_hierarchy",
    "SketchBERT-Variant": "sketchbert_variant",
    "SketchFormer-Variant": "sketchformer_variant",
    "Proposed": "proposed",
    "Explicit Hierarchy": "explicit_hierarchy",
    "w/o Localised-Coattn": "without_localised_coattn",
    "w/o Hierarchy": "b_localised_coattn",
    "Sketch-coarse": "proposed_coarse",
    "Sketch-coarse++": "proposed_coarse_plus",
}
"""Rows of tables 1 and 2, by the name of the experiment file. Two rows are one system: their scores are equal."""

OWN = {"Layout-Siamese": "layout_siamese"}
"""Rows that the paper has not, below those of table 1 where they were run."""

ROWS = METHODS | OWN
"""All of them."""

DATASETS = {"ChairV2": "chair_v2", "ShoeV2": "shoe_v2", "SWIRE": "swire", "Embedded": "embedded"}
"""Columns, by the folder of the experiment files; the last one is ours."""

DETAILS = {"full": "", "coarse": "_coarse", "coarse++": "_coarse_plus"}
"""Columns of table 3, by what they add to the name."""

REGIONS = {8: "_k8", 12: "_k12", 16: "", 20: "_k20"}
"""Points of the region study, by what they add to the name."""


def experiment_of(method: str, dataset: str, detail: str = "full", regions: int = 16) -> str:
    """The experiment that fills a cell, e.g. "chair_v2/proposed_coarse".

    Args:
        method: a row of table 1, 2 or 3.
        dataset: a column.
        detail: of the sketches, as in table 3.
        regions: of a photo, as in the region study.

    Raises:
        KeyError: for a cell that the paper does not have.
    """
    return f"{DATASETS[dataset]}/{stem_of(method, detail, regions)}"


def stem_of(method: str, detail: str = "full", regions: int = 16) -> str:
    """The name that the experiments of a row have on every dataset, e.g. "proposed_coarse"; see `experiment_of`."""
    return METHODS[method] + DETAILS[detail] + REGIONS[regions]


def label_of(stem: str) -> str:
    """What experiments of a name are called: the row they fill, e.g. "Proposed", or one with what differs from it.

    "proposed_k8" is "Proposed, 8 regions", "b_siamese_coarse" is "B-Siamese, coarse". A name without a row stays.
    """
    labels = {name: label for label, name in reversed(ROWS.items())}  # of two rows of one system, the first
    for variant, suffix in (DETAILS | {f"{k} regions": suffix for k, suffix in REGIONS.items()}).items():
        if suffix and stem not in labels and (name := stem.removesuffix(suffix)) != stem and name in labels:
            return f"{labels[name]}, {variant}"
    return labels.get(stem, stem)


def stem_of_experiment(experiment: str) -> str:
    """The name of an experiment without dataset and recipe: of "chair_v2/proposed_coarse_paper" "proposed_coarse"."""
    return PurePath(experiment).name.removesuffix("_paper")


def detail_of(stem: str) -> str:
    """How much of each sketch is shown to the experiments of a name: a key of `DETAILS`."""
    return next((detail for detail, suffix in DETAILS.items() if suffix and stem.endswith(suffix)), "full")


def title_of(dataset: str) -> str:
    """A dataset's name for people: ChairV2 for chair_v2."""
    return next((title for title, name in DATASETS.items() if name == dataset), dataset.replace("_", " ").capitalize())
