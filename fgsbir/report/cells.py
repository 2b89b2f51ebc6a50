"""Which experiment fills which cell of the paper's tables.

An experiment is a composition, named `<dataset>/<system>[_<variant>][_paper]`, e.g. "chair_v2/proposed_coarse_paper".
Its *stem* is the name without dataset and recipe, e.g. "proposed_coarse".
"""

from __future__ import annotations

from pathlib import PurePath

PAPER_ROWS = {
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
"""Stem of each row of tables 1 and 2. Two rows are one system: their scores are equal."""

OWN_ROWS = {"Layout-Siamese": "layout_siamese"}
"""Stem of each row of ours, printed below the rows of table 1 where it was run."""

ROWS = PAPER_ROWS | OWN_ROWS
"""Stem of each row."""

DATASETS = {"ChairV2": "chair_v2", "ShoeV2": "shoe_v2", "SWIRE": "swire", "Embedded": "embedded"}
"""Dataset of each column; the last one is ours."""

DETAILS = {"full": "", "coarse": "coarse", "coarse++": "coarse_plus"}
"""Variant of each column of table 3; none for full sketches."""

REGIONS = {8: "k8", 12: "k12", 16: "", 20: "k20"}
"""Variant of each point of the region study; none for the usual number."""

VARIANTS = tuple(filter(None, (*DETAILS.values(), *REGIONS.values())))


def experiment_of(row: str, dataset: str, detail: str = "full", regions: int = 16) -> str:
    """The experiment that fills a cell, in the modern recipe.

    Args:
        row: a key of `ROWS`.
        dataset: a key of `DATASETS`.
        detail: detail of the sketches, a key of `DETAILS`.
        regions: regions of a photo, a key of `REGIONS`.

    Raises:
        KeyError: for a cell that no table has.

    Example:
        >>> experiment_of("Proposed", "ChairV2", "coarse")
        'chair_v2/proposed_coarse'
    """
    return f"{DATASETS[dataset]}/{stem_of(row, detail, regions)}"


def stem_of(row: str, detail: str = "full", regions: int = 16) -> str:
    """The stem of the experiments that fill a row on any dataset; see `experiment_of`."""
    return "_".join(filter(None, (ROWS[row], DETAILS[detail], REGIONS[regions])))


def stem_of_experiment(experiment: str) -> str:
    """The stem of an experiment: "proposed_coarse" for "chair_v2/proposed_coarse_paper"."""
    return PurePath(experiment).name.removesuffix("_paper")


def split_stem(stem: str) -> tuple[str, str]:
    """System and variant of a stem, the variant empty for none: "proposed_k8" is ("proposed", "k8")."""
    for variant in VARIANTS:
        if (system := stem.removesuffix(f"_{variant}")) != stem:
            return system, variant
    return stem, ""


def label_of(stem: str) -> str:
    """What a stem is called in tables: the row that it fills, or the row of its system and its variant.

    A stem without a row stays.

    Example:
        >>> label_of("proposed_coarse"), label_of("proposed_k8"), label_of("b_siamese_coarse")
        ('Sketch-coarse', 'Proposed, 8 regions', 'B-Siamese, coarse')
    """
    labels = {name: label for label, name in reversed(ROWS.items())}  # of two rows of one system, the first
    system, variant = split_stem(stem)
    if stem in labels or system not in labels:
        return labels.get(stem, stem)
    differences = {name: detail for detail, name in DETAILS.items()}
    differences |= {name: f"{k} regions" for k, name in REGIONS.items()}
    return f"{labels[system]}, {differences[variant]}"


def detail_of(stem: str) -> str:
    """Detail of the test sketches of a stem's experiments, a key of `DETAILS`."""
    return next((detail for detail, variant in DETAILS.items() if variant == split_stem(stem)[1]), "full")


def title_of(dataset: str) -> str:
    """Name of a dataset in headings: ChairV2 for chair_v2."""
    return next((title for title, name in DATASETS.items() if name == dataset), dataset.replace("_", " ").capitalize())
