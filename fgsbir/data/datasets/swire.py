"""SWIRE: hand-drawn sketches of app screens from RICO, scanned."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from PIL import Image

from fgsbir.data.datasets.base import FileSource, find_folder, present, usable
from fgsbir.data.procedural.generate import Instance, view_hierarchy
from fgsbir.data.records import PairedData, PhotoRecord
from fgsbir.data.splits import lowest_tenth, unit_hash
from fgsbir.data.traced import traced
from fgsbir.data.transforms import UnitAffine
from fgsbir.errors import Faults, InputError
from fgsbir.files import atomic_write, data_root
from fgsbir.images import photo_pixels
from fgsbir.regions.components import components
from fgsbir.regions.view_hierarchy import FRAME
from fgsbir.sketch.raster import rasterise
from fgsbir.sketch.strokes import VectorSketch
from fgsbir.sketch.walk import walk

SplitBy = Literal["screen", "designer", "both"]
DESIGNERS = (1, 2, 3, 4)
TEST_DESIGNER = 4
REPORTED_SIZE = "swire: the release reportedly holds 3,802 sketches of 2,201 screens, 276 of the sketches for testing"
"""From memory: no published count could be found, so none is checked."""

_ALGORITHM = 2  # raise it when the same scan gives other strokes than before


class Swire(FileSource):
    """SWIRE: hand-drawn sketches of app screens from RICO, scanned.

    `by` says what training has not seen of the test queries:

    - "screen": the eighth of the screens with the lowest hash of their ids, with all their sketches.
    - "designer": the sketches of designer 4. Their screens recur: training may hold other sketches of them.
    - "both": the sketches of designer 4; what others drew of their screens is in no split.

    `val` is the tenth of the other screens with the lowest hash, with all sketches that are not for testing.

    Deviations: neither the paper nor the dataset publishes the split. That designer 4 drew the test queries is
    inferred from the notebook that comes with the dataset.

    Args:
        root: folder that holds `sketches/<screen>_<designer>.jpg` and `screens/<screen>.jpg` (or `.png`), or the folder
            above it where it is called `swire`; `$FGSBIR_DATA`, else `data`, if not given.
        by: what is held out: "screen", "designer" or "both".
        max_regions: strokes of a sketch at most, see `read_drawing`; not more than `rendering.max_strokes`.

    Raises:
        InputError: if `by` is unknown or `max_regions` is less than 1.
    """

    name = "swire"

    def __init__(self, root: str | Path | None = None, by: SplitBy = "screen", max_regions: int = 16) -> None:
        if by not in get_args(SplitBy):
            raise InputError("swire.by", f"'{by}' is unknown", "use screen, designer or both")
        if max_regions < 1:
            raise InputError("swire.max_regions", f"{max_regions} is out of range", "use 1 or more")
        self.root, self.by, self.max_regions = data_root(root), by, max_regions

    def inspect(self, faults: Faults) -> PairedData:
        """Traces the scans, or finds their strokes in the cache, and finds the screens.

        Raises:
            InputError: if a folder is missing, no sketch is left for training or for testing, or the cache cannot be
                written.
        """
        needed = ("sketches", "screens")
        folder = find_folder(self.root, ("swire",), needed, "folders 'sketches' and 'screens'")
        names = _names(folder / "sketches", faults)
        splits = _splits([(screen, designer) for screen, designer, _ in names], self.by)
        chosen = [(screen, path, split) for (screen, _, path), split in zip(names, splits, strict=True) if split]
        first = {screen: split for screen, _, split in reversed(chosen)}
        files = {path.stem: path for path in sorted((folder / "screens").iterdir()) if path.suffix in (".jpg", ".png")}
        paths = {id_: files.get(id_, folder / "screens" / f"{id_}.jpg") for id_ in sorted(first, key=int)}
        photos = present({id_: PhotoRecord(id_, first[id_], path) for id_, path in paths.items()}, faults)
        drawings = traced([path for _, path, _ in chosen], read_drawing, _ALGORITHM, max_regions=self.max_regions)
        found = ((path.stem, id_, split, drawn) for (id_, path, split), drawn in zip(chosen, drawings, strict=True))
        return PairedData(self.name, usable(found, photos, faults), photos, recurring=self.by == "designer")


def read_drawing(path: Path, max_regions: int = 16) -> VectorSketch:
    """A scanned sketch as strokes: one stroke is one region, largest first.

    Regions are connected components of the ink, close ones merged (`components`), and a stroke is a pen's walk over
    all lines of its region without a break (`walk`). So strokes, their boxes and the image drawn of them agree and
    follow every augmentation. Dropping the last strokes, as the coarse levels of detail do, drops the smallest regions.
    Specks are left out. The scan keeps its frame, in the middle of the unit square.

    Deviations: the authors read the scan's own pixels and pool over its regions; here it is drawn anew with an even
    line width, like the sketches of every other dataset.

    Args:
        path: greyscale image, bright strokes on a dark ground.
        max_regions: largest number of strokes; the smallest regions beyond it are merged with their nearest. A
            `Rendering` with a smaller capacity would join strokes of similar size, wherever they are.

    Raises:
        InputError: if the file is no image, has no strokes, or is not inverted.
    """
    raster = photo_pixels(path).max(-1)
    if (raster > 150).mean() > 0.5:
        raise InputError(path, "most of it is bright", "invert it: strokes bright, paper dark")
    labels, boxes = components(raster, max_regions)
    if not len(boxes):
        raise InputError(path, "it holds no strokes", "remove it")
    height, width = raster.shape
    lines = [walk(labels == region) / (width, height) for region in range(len(boxes))]
    return UnitAffine.letterbox(height, width).sketch(VectorSketch.from_strokes(lines))


def write_swire(folder: Path, instances: Sequence[Instance], height: int = 640) -> None:
    """Writes generated screens in SWIRE's and RICO's formats, for `Swire` and `ViewHierarchy`.

    The n-th sketch of a screen counts as drawn by designer n. The square images are squeezed to the shape of a phone.

    Args:
        folder: folder that receives `sketches/`, `screens/` and `hierarchies/`.
        instances: screens with four sketches at most.
        height: height of the images, in pixels.

    Raises:
        InputError: if an instance is no screen or has too many sketches, or a file cannot be written.
    """
    width = round(height * FRAME[0] / FRAME[1])
    left = (height - width) // 2
    upright = UnitAffine.letterbox(height, width)
    for instance in instances:
        if instance.parts[0].name != "screen" or len(instance.sketches) > len(DESIGNERS):
            fix = f"generate screens with {len(DESIGNERS)} sketches at most"
            raise InputError(instance.id, "SWIRE's format cannot hold it", fix)
        screen = str(int(instance.id.rsplit("-", 1)[1]))
        with atomic_write(folder / "screens" / f"{screen}.jpg") as file:
            Image.fromarray(instance.photo).resize((width, height)).save(file, "JPEG", quality=95)
        with atomic_write(folder / "hierarchies" / f"{screen}.json", "w") as file:
            json.dump(view_hierarchy(instance), file)
        for designer, sketch in zip(DESIGNERS, instance.sketches, strict=False):
            raster = rasterise(upright.sketch(sketch), height, ink="light")[:, left : left + width]
            with atomic_write(folder / "sketches" / f"{screen}_{designer}.jpg") as file:
                Image.fromarray(raster).save(file, "JPEG", quality=95)


def _names(folder: Path, faults: Faults) -> list[tuple[str, int, Path]]:
    """Screen, designer and file of each sketch, by screen and designer."""
    names = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        match = re.fullmatch(r"(\d+)_([1-4])\.jpg", path.name)
        if match:
            names.append((match[1], int(match[2]), path))
        else:
            faults.append(InputError(path, "its name is not <screen>_<designer 1 to 4>.jpg", "rename or remove it"))
    if not names:
        raise InputError(folder, "it holds no sketches", "unpack SWIRE's sketches there")
    return sorted(names, key=lambda name: (int(name[0]), name[1], name[0]))


def _splits(names: Sequence[tuple[str, int]], by: SplitBy) -> list[str | None]:
    """The split of each sketch, given as screen and designer; None for one in no split."""
    screens = {screen for screen, _ in names}
    if by == "screen":
        held = set(sorted(screens, key=unit_hash)[: max(1, len(screens) // 8)])
    else:
        held = {screen for screen, designer in names if designer == TEST_DESIGNER}
        if not held:
            raise InputError("swire.by", f"designer {TEST_DESIGNER} drew none of the sketches", "use by: screen")
    val = lowest_tenth(screen for screen, designer in names if screen not in held)

    def split(screen: str, designer: int) -> str | None:
        if screen in held and (by == "screen" or designer == TEST_DESIGNER):
            return "test"
        if screen in held and by == "both":
            return None
        return "val" if screen in val else "train"

    splits = [split(*name) for name in names]
    if "train" not in splits:
        raise InputError("swire.by", f"by {by} no sketch is left for training", "add sketches of other screens")
    return splits
