"""Ranks of finished runs while the test sketches are being drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from fgsbir.data.datamodule import SketchPhotoDataModule
from fgsbir.data.dataset import PhotoDataset, SketchDataset
from fgsbir.data.sample import on_device
from fgsbir.errors import InputError
from fgsbir.metrics.on_the_fly import SHARES, DrawingRanks
from fgsbir.metrics.ranking import compute_ranks
from fgsbir.progress import progress
from fgsbir.retrieval.distances import concat
from fgsbir.runs.folder import RunFolder
from fgsbir.runs.loading import load_run
from fgsbir.sketch.strokes import IntArray
from fgsbir.systems.base import System


def stored(folder: RunFolder) -> DrawingRanks | None:
    """What was measured before; None where nothing was, or it is damaged or of an earlier test."""
    try:
        return folder.read_on_the_fly()
    except InputError:
        return None


def measure(folder: RunFolder, name: str) -> DrawingRanks | None:
    """Measures a finished run and stores the ranks; None for a run that was tested on less than the full sketches.

    `name` stands beside the progress bar.

    Raises:
        InputError: if the run is damaged, or the data is not the data of its test.
    """
    system, data = load_run(folder)
    if data.test_detail != "full":
        return None
    result = folder.read_result()
    if data.records.split_hash("test") != result.split_hash:
        problem = f"its test split is {result.split_hash}, but the data now has {data.records.split_hash('test')}"
        raise InputError(folder.result, problem, "restore the data or test the run again")
    ids = np.array([record.id for record in data.queries("test").sketches])
    drawing = DrawingRanks(ids, SHARES, ranks_while_drawing(system, data, SHARES, name), result.finished)
    folder.write_on_the_fly(drawing)
    return drawing


@torch.no_grad()
def ranks_while_drawing(
    system: System, data: SketchPhotoDataModule, shares: Sequence[float] | np.ndarray[Any, Any], name: str = ""
) -> IntArray:
    """Ranks the test gallery for each test sketch at several moments of its drawing.

    Photos are encoded once. At each moment all sketches are drawn up to the same share of their ink, encoded and
    matched, in the batches of a test, so that the ranks at share 1 equal the ranks in the test.

    Args:
        system: system in evaluation mode.
        data: data of the system.
        shares: share of the ink at each moment, `(S,)`, in (0, 1].
        name: name beside the progress bar.

    Returns:
        Ranks from 1, `(Q, S)`.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    system = system.to(device)
    data.prepare_data()
    data.setup("test")
    gallery, queries = data.gallery("test"), data.queries("test")
    photos = _encode(system, gallery, data.eval_batch_size)
    target = torch.tensor([queries.gallery_index[record.photo_id] for record in queries.sketches], device=device)
    ranks = []
    for share in progress(shares, name, unit="moment"):
        records = [replace(record, sketch=record.sketch.drawn(float(share))) for record in queries.sketches]
        moment = SketchDataset(records, gallery.photos, queries.rendering)
        distances = system.match_all(_encode(system, moment, data.eval_batch_size), photos)
        ranks.append(compute_ranks(distances, target).cpu().numpy())
    return np.stack(ranks, axis=1)


def _encode(system: System, images: SketchDataset | PhotoDataset, batch_size: int) -> Any:
    """The encodings of all images."""
    batches = DataLoader[Any](images, batch_size)  # type: ignore[arg-type]
    return concat([system.encode_batch(on_device(batch, system.device)) for batch in batches])
