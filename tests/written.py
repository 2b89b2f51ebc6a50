"""Run folders that tests write file by file, as the documentation describes them."""

import csv
import json
from pathlib import Path

import numpy as np

N_GALLERY, N_QUERIES = 12, 24


def random_ranks(seed: int, best: int = 1, worst: int = N_GALLERY) -> np.ndarray:
    """Ranks of all queries, drawn evenly."""
    return np.random.default_rng(seed).integers(best, worst + 1, N_QUERIES)


def write_run(
    root: Path,
    system: str,
    seed: int = 0,
    experiment: str | None = None,
    ranks: np.ndarray | None = None,
    hierarchy: bool = False,
    **changes: object,
) -> dict[str, object]:
    """A finished run on 24 sketches of 12 photos; returns what its result.json holds.

    Without `ranks` they are random. Each query's top list has the true photo at its rank and others around it.
    """
    experiment = experiment or f"chairs/{system.lower()}"
    folder = root / experiment / f"{changes.get('config_hash', '0123abcd')}-s{seed}"
    folder.mkdir(parents=True)
    ranks = random_ranks(seed + len(experiment)) if ranks is None else np.asarray(ranks)
    rng = np.random.default_rng([seed, len(system)])
    target = np.repeat(np.arange(N_GALLERY), N_QUERIES // N_GALLERY)
    top = []
    for true, rank in zip(target, ranks, strict=True):
        others = rng.permutation([photo for photo in range(N_GALLERY) if photo != true])
        top.append(np.insert(others, rank - 1, true))
    np.savez(
        folder / "ranking.npz",
        query_ids=np.array([f"chair{t}_{i % 2}" for i, t in enumerate(target)]),
        gallery_ids=np.array([f"chair{i}" for i in range(N_GALLERY)]),
        target=target,
        ranks=ranks,
        top=np.stack(top),
        top_distances=np.sort(rng.random((N_QUERIES, N_GALLERY)), axis=1).astype(np.float32),
    )
    photos = np.zeros((N_GALLERY, 96, 96, 3), np.uint8) + np.arange(0, 240, 20, dtype=np.uint8)[:, None, None, None]
    np.savez(folder / "thumbnails.npz", photos=photos, sketches=np.full((N_QUERIES, 96, 96, 3), 255, np.uint8))
    result = {
        "system": system,
        "dataset": "chairs",
        "experiment": experiment,
        "recipe": "modern",
        "seed": seed,
        "n_test": N_QUERIES,
        "n_gallery": N_GALLERY,
        "split_hash": "5p1it0id",
        "acc1": float(100 * np.mean(ranks <= 1)),
        "acc5": float(100 * np.mean(ranks <= 5)),
        "acc10": float(100 * np.mean(ranks <= 10)),
        "mean_rank": float(ranks.mean()),
        "mrr": float(100 * (1 / ranks).mean()),
        "val_acc1": 40.0,
        "best_epoch": 1,
        "train_seconds": 90.0,
        "test_seconds": 2.0,
        "parameters": 1_234_567,
        "commit": "c0ffee1",
        "config_hash": "0123abcd",
        "hardware": "2 x Test CPU, 8 GiB",
        "versions": {"torch": "2.9"},
        "finished": "2026-01-02T03:04:05+00:00",
    } | changes
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "step", "train/loss", "val/acc1"])
        writer.writerows([[0, 9, "", 25.0], [0, 9, 0.5, ""], [1, 19, "", 40.0], [1, 19, 0.25, ""]])
    if hierarchy:
        (folder / "hierarchy.json").write_text(json.dumps([example("chair3_1", "chair3", 2)]))
    (folder / "result.json").write_text(json.dumps(result))
    return result


def write_drawing(folder: Path, ranks: np.ndarray | None = None, **changes: object) -> np.ndarray:
    """Adds ranks at 20 moments of each drawing to a run that `write_run` wrote, `(24, 20)`; returns them.

    Without `ranks` they are random, except that the last moment has the ranks of the test.
    """
    with np.load(folder / "ranking.npz") as archive:
        query_ids, last = archive["query_ids"], archive["ranks"]
    if ranks is None:
        ranks = np.random.default_rng(len(str(folder))).integers(1, N_GALLERY + 1, (N_QUERIES, 20))
        ranks[:, -1] = last
    finished = json.loads((folder / "result.json").read_text())["finished"]
    arrays = {"query_ids": query_ids, "shares": np.arange(1, 21) / 20, "ranks": ranks, "finished": finished}
    np.savez(folder / "on_the_fly.npz", **(arrays | changes))
    return ranks


def example(query: str, photo: str, rank: int) -> dict[str, object]:
    """Two strokes and the whole-sketch node against two regions: two levels."""
    return {
        "query": query,
        "photo": photo,
        "rank": rank,
        "strokes": [[[0.1, 0.1], [0.9, 0.1]], [[0.5, 0.5]]],
        "stroke_boxes": [[0.1, 0.1, 0.9, 0.13], [0.49, 0.49, 0.51, 0.51]],
        "region_boxes": [[0, 0, 1, 1], [0.25, 0.5, 0.75, 1]],
        "sketch_merges": [[0, 2], [1, 3]],
        "photo_merges": [[0, 1]],
        "levels": [
            {
                "sketch_nodes": [0, 1, 2],
                "photo_nodes": [0, 1],
                "sketch_to_photo": [[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]],
                "photo_to_sketch": [[0.3, 0.3, 0.4], [0.1, 0.2, 0.7]],
            },
            {
                "sketch_nodes": [1, 3],
                "photo_nodes": [2],
                "sketch_to_photo": [[1.0], [1.0]],
                "photo_to_sketch": [[0.5, 0.5]],
            },
        ],
    }
