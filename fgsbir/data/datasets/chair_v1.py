"""QMUL-Chair-V1: photos of chairs, one sketch of each as an image, and which photos people find nearer to it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fgsbir.data.datasets.base import FileSource, find_folder, present, usable
from fgsbir.data.records import PairedData, PhotoRecord
from fgsbir.data.splits import read_list
from fgsbir.data.traced import traced
from fgsbir.errors import Faults, InputError
from fgsbir.files import data_root, read_bytes
from fgsbir.sketch.formats import read_raster
from fgsbir.sketch.vectorise import ALGORITHM

ANNOTATION = "chairs_annotation.json"


class ChairV1(FileSource):
    """QMUL-Chair-V1: 200 + 97 chairs, each with one sketch drawn on paper, in the release's own split.

    Sketches are images in the release; their strokes are recovered by `vectorise`, once, and kept in
    `$FGSBIR_CACHE/strokes`. 20 of the 200 training photos are held out as `val`: a fixed list in
    `fgsbir/data/splits/chair_v1_val.txt`.

    For each sketch, people compared ten photos in pairs: which one is nearer to it? The majority counts, of three
    answers to each question about a training sketch and one about a test sketch.

    Args:
        root: folder that holds `chairs_annotation.json`, `train/` and `test/`, each with `images/<n>.jpg` and
            `sketches/<n>.png`, or the folder above it where it is called `qmul-chair-v1` or `ChairV1`; `$FGSBIR_DATA`,
            else `data`, if not given.
        max_strokes: strokes of a sketch at most; not more than `rendering.max_strokes`.

    Raises:
        InputError: if `max_strokes` is less than 1.
    """

    name = "chair_v1"

    def __init__(self, root: str | Path | None = None, max_strokes: int = 16) -> None:
        if max_strokes < 1:
            raise InputError("chair_v1.max_strokes", f"{max_strokes} is out of range", "use 1 or more")
        self.root, self.max_strokes = data_root(root), max_strokes

    def inspect(self, faults: Faults) -> PairedData:
        """Reads the annotation, finds the photos and recovers the strokes.

        Raises:
            InputError: if the annotation is missing or broken, none of the `val` photos is there, or the cache cannot
                be written.
        """
        folder = find_folder(self.root, ("qmul-chair-v1", "ChairV1"), (ANNOTATION,), f"'{ANNOTATION}'")
        annotation, val = _read(folder / ANNOTATION), read_list("chair_v1_val")
        if not any(Path(name).stem in val for name in annotation["train"]["images"]):
            problem = "none of the photos that are held out for validation is there"
            raise InputError(folder / ANNOTATION, problem, "use the published files")
        photos: dict[str, PhotoRecord] = {}
        drawn: list[tuple[str, str, Path]] = []
        judgements = {}
        for part, content in annotation.items():
            ids = [Path(name).stem for name in content["images"]]
            for id_, name, sketch in zip(ids, content["images"], content["sketches"], strict=True):
                if id_ in photos:
                    problem = f"the photo '{id_}' is there twice"
                    raise InputError(folder / ANNOTATION, problem, "use the published files")
                split = "val" if part == "train" and id_ in val else part
                photos[id_] = PhotoRecord(id_, split, folder / part / "images" / name)
                drawn.append((id_, split, folder / part / "sketches" / sketch))
            for id_, answers in zip(ids, content["triplets"], strict=True):
                judgements[id_] = [(ids[near], ids[far]) for near, far in _majority(answers)]
        photos = present(photos, faults)
        strokes = traced([path for *_, path in drawn], read_raster, ALGORITHM, max_strokes=self.max_strokes)
        found = ((id_, id_, split, sketch) for (id_, split, _), sketch in zip(drawn, strokes, strict=True))
        return PairedData(self.name, usable(found, photos, faults), photos, judgements=judgements)


def _read(path: Path) -> dict[str, dict[str, list[Any]]]:
    """The annotation: `images`, `sketches` and `triplets` of `train` and `test`, one entry a sketch.

    A sketch's triplets are pairs of indices into `images`: the first photo is nearer to the sketch.
    """
    try:
        content = json.loads(read_bytes(path))
        keys = ("images", "sketches", "triplets")
        parts = {part: {key: content[part][key] for key in keys} for part in ("train", "test")}
        for part in parts.values():
            count = len(part["images"])
            whole = count == len(part["sketches"]) == len(part["triplets"])
            named = all(isinstance(name, str) for name in part["images"] + part["sketches"])
            indices = [index for answers in part["triplets"] for near, far in answers for index in (near, far)]
            if not whole or not named or not all(isinstance(index, int) and 0 <= index < count for index in indices):
                raise ValueError("its lists do not fit each other")
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(path, f"not the annotation of Chair-V1 ({error})", "use the published file") from None
    return parts


def _majority(answers: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Each pair that more people gave than gave its reverse."""
    votes = Counter((near, far) for near, far in answers)
    return [(near, far) for (near, far), count in votes.items() if count > votes[far, near]]
