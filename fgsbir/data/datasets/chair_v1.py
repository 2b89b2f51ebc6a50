"""QMUL-Chair-V1: photos of chairs, one drawing of each as a picture, and which photos people find nearer to it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from fgsbir.data.records import PairedData, PhotoRecord, SketchRecord
from fgsbir.data.splits import read_list
from fgsbir.errors import InputError
from fgsbir.files import read_bytes
from fgsbir.sketch.formats import read_raster

ANNOTATION = "chairs_annotation.json"
_SILENT = 20  # no progress bar for fewer sketches


def load_chair_v1(root: Path, max_strokes: int = 16) -> PairedData:
    """QMUL-Chair-V1 in its published train and test split, its drawings as recovered strokes.

    `val` is 20 of the 200 training photos with their sketches: a fixed list in `splits/chair_v1_val.txt`. Recovering
    strokes takes a thirtieth of a second a sketch, so nothing is cached.

    For each sketch, people compared ten photos in pairs: which one is nearer to it? Of the three answers to each
    question about a training sketch (one about a test sketch) the majority counts.

    Args:
        root: folder with `chairs_annotation.json`, `train` and `test`, each with `images/<n>.jpg` and
            `sketches/<n>.png`, or the folder above it, where it is called `qmul-chair-v1` or `ChairV1`.
        max_strokes: strokes of a sketch at most, see `vectorise`.

    Raises:
        InputError: if a file is missing or broken, or none of the `val` photos is there.
    """
    folder = _find(root)
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
                raise InputError(folder / ANNOTATION, f"the photo '{id_}' is there twice", "use the published files")
            split = "val" if part == "train" and id_ in val else part
            photos[id_] = PhotoRecord(id_, split, folder / part / "images" / name)
            drawn.append((id_, split, folder / part / "sketches" / sketch))
        for id_, answers in zip(ids, content["triplets"], strict=True):
            judgements[id_] = [(ids[near], ids[far]) for near, far in _majority(answers)]
    files = [photo.path for photo in photos.values() if photo.path] + [path for *_, path in drawn]
    if missing := [path for path in files if not path.is_file()]:
        problem = f"{len(missing)} of {len(files)} pictures are missing, first '{missing[0].relative_to(folder)}'"
        raise InputError(folder, problem, "unpack the dataset there")
    sketches = tuple(
        SketchRecord(id_, id_, split, read_raster(path, max_strokes))
        for id_, split, path in tqdm(drawn, "sketches", unit="sketch", disable=len(drawn) <= _SILENT)
    )
    return PairedData("chair_v1", sketches, photos, judgements=judgements)


def _find(root: Path) -> Path:
    """The folder that holds the dataset."""
    for folder in (root, root / "qmul-chair-v1", root / "ChairV1"):
        if (folder / ANNOTATION).is_file():
            return folder
    raise InputError(
        root,
        f"no '{ANNOTATION}' here or in 'qmul-chair-v1' or 'ChairV1'",
        "download the dataset and name its folder in FGSBIR_DATA or --data.source.init_args.root",
    )


def _read(path: Path) -> dict[str, dict[str, list[Any]]]:
    """The annotation: `images`, `sketches` and `triplets` of `train` and `test`, one entry a sketch.

    A sketch's triplets are pairs of photos, counted from 0 in `images`: the first is nearer to the sketch.
    """
    try:
        content = json.loads(read_bytes(path))
        keys = ("images", "sketches", "triplets")
        parts = {part: {key: content[part][key] for key in keys} for part in ("train", "test")}
        for part in parts.values():
            count = len(part["images"])
            whole = count == len(part["sketches"]) == len(part["triplets"])
            named = all(isinstance(name, str) for name in part["images"] + part["sketches"])
            places = [place for answers in part["triplets"] for near, far in answers for place in (near, far)]
            if not whole or not named or not all(isinstance(place, int) and 0 <= place < count for place in places):
                raise ValueError("its lists do not fit each other")
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(path, f"not the annotation of Chair-V1 ({error})", "use the published file") from None
    return parts


def _majority(answers: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Each pair that more people gave than gave its reverse."""
    votes = Counter((near, far) for near, far in answers)
    return [(near, far) for (near, far), count in votes.items() if count > votes[far, near]]
