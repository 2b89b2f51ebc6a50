"""`fgsbir on-the-fly`: ranks of finished runs while the test sketches are being drawn."""

from __future__ import annotations

from pathlib import Path

from fgsbir.commands.parser import CommandParser
from fgsbir.errors import InputError
from fgsbir.metrics.on_the_fly import drawing_scores
from fgsbir.runs.folder import find_runs

DESCRIPTION = "Ranks the photos of finished runs while the test sketches are being drawn; see docs/on-the-fly.md."


def run(argv: list[str]) -> None:
    """Runs the command: measures the runs that were not measured yet and prints a line for each run.

    Args:
        argv: options behind "fgsbir on-the-fly".

    Raises:
        InputError: if there is no such folder, no run on sketches in full detail, or one is damaged.
    """
    parser = CommandParser("fgsbir on-the-fly", DESCRIPTION)
    parser.add_argument(
        "runs", metavar="RUNS", type=Path, help="folder of runs, searched at any depth; measured runs are skipped"
    )
    root: Path = parser.parse_args(argv).runs
    folders = find_runs(root)

    from fgsbir.report.on_the_fly import measure, stored  # needs torch, for which a mistake above should not wait

    measured = 0
    for folder in folders:
        name, result = str(folder.path.relative_to(root)), folder.read_result()
        drawing = stored(folder) or measure(folder, name)
        if drawing is None:
            print(f"{name}: skipped, its test sketches are not in full detail", flush=True)
            continue
        measured += 1
        scores = drawing_scores(drawing.ranks, result.n_gallery)
        means = f"m@A {scores.percentile.mean():.2f}, m@B {scores.reciprocal.mean():.2f}"
        print(f"{name}: {result.system} {means} on {result.n_test} sketches of {result.dataset}", flush=True)
    if not measured:
        problem = "no finished run on test sketches in full detail"
        raise InputError(root, problem, "train and test one, e.g. fgsbir run --system b_siamese --dataset embedded")
