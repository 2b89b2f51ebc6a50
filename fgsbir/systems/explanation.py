"""What a hierarchy did to one pair, in plain numbers."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from fgsbir.data.sample import PhotoBatch, SketchBatch
from fgsbir.models.hierarchy import Level, Merge
from fgsbir.models.merge_tree import Explanation

__all__ = ["Explainable", "Explanation", "explain_pair"]


@runtime_checkable
class Explainable(Protocol):
    """A system whose nodes merge into one root an image."""

    def explain_images(self, sketches: SketchBatch, photos: PhotoBatch) -> list[Explanation]:
        """The merge trees of P sketches and P photos, row by row."""


def explain_pair(trace: list[Level], pair: int) -> Explanation:
    """One pair of a batch that climbed together.

    Args:
        trace: what happened, level by level.
        pair: its row.
    """
    counts = (trace[0].sketch_count, trace[0].photo_count) if trace else ()
    branches = [list(range(int(count[pair]))) for count in counts]
    made = [len(nodes) for nodes in branches]
    out = Explanation([], [], [])
    for level in trace:
        sketch, photo = branches
        if len(sketch) == len(photo) == 1:
            break
        entry: dict[str, list[int] | list[list[float]]] = {"sketch_nodes": list(sketch), "photo_nodes": list(photo)}
        if level.sketch_to_photo is not None and level.photo_to_sketch is not None:
            entry["sketch_to_photo"] = level.sketch_to_photo[pair, : len(sketch), : len(photo)].tolist()
            entry["photo_to_sketch"] = level.photo_to_sketch[pair, : len(photo), : len(sketch)].tolist()
        out.levels.append(entry)
        merges = ((level.sketch_merge, out.sketch_merges), (level.photo_merge, out.photo_merges))
        for branch, (merge, log) in enumerate(merges):
            if merge is not None and not merge.done[pair]:
                log.append(_merge(branches[branch], merge, pair, made[branch]))
                made[branch] += 1
    return out


def _merge(nodes: list[int], merge: Merge, pair: int, new: int) -> tuple[int, int]:
    """Repeats one merge on a list of node numbers, in place."""
    second, first = nodes.pop(int(merge.second[pair])), nodes.pop(int(merge.first[pair]))
    nodes.append(new)
    return first, second
