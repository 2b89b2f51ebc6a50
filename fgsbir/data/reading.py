"""Sketches and photos from anywhere, read as a run reads its dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from fgsbir.data.datamodule import SketchPhotoDataModule
from fgsbir.data.dataset import Rendering
from fgsbir.data.datasets.folder import PHOTO_SUFFIXES, listed
from fgsbir.data.records import PhotoRecord, image_pixels
from fgsbir.data.sample import PhotoBatch, SketchBatch, stacked
from fgsbir.data.traced import require_sketches
from fgsbir.data.transforms import UnitAffine
from fgsbir.errors import InputError
from fgsbir.files import usable_cores
from fgsbir.regions.selective_search import SelectiveSearch
from fgsbir.regions.source import Photo
from fgsbir.sketch.formats import read_sketch
from fgsbir.sketch.strokes import FloatArray, VectorSketch

DEFAULT_MARGIN = 0.1
"""Margin around the ink if there are no training sketches to look at, in frame units; the one of generated sketches."""

AnySketch = str | Path | VectorSketch
"""A sketch, or a file that `read_sketch` reads."""
AnyPhoto = str | Path | PhotoRecord | npt.NDArray[np.uint8] | Image.Image
"""An image file, a record, an array `(H, W, 3)` uint8 RGB or an image of PIL."""
AnyPhotos = AnyPhoto | Iterable[AnyPhoto]
"""A folder of photos, or one photo or several."""


@dataclass(frozen=True)
class Reader:
    """Turns any sketches and photos into tensors as a run does with its dataset.

    Args:
        rendering: how sketches and photos become tensors.
        regions: source of the regions of photos.
        margin: free space around the ink of a sketch, in frame units; None leaves sketches where they are.
        replaced: source of regions of the training data that `regions` stands for, because it knows no other photos;
            None if there is none.
    """

    rendering: Rendering = field(default_factory=Rendering)
    regions: SelectiveSearch = field(default_factory=SelectiveSearch)
    margin: float | None = None
    replaced: str | None = None

    @classmethod
    def of(cls, data: SketchPhotoDataModule) -> Reader:
        """The reader of a data module; regions that come from files are found by selective search instead.

        Raises:
            InputError: if the dataset is not on this machine.
        """
        sketches = [record.sketch for record in data.records.split_sketches("train")]
        regions = searched(data.regions, data.rendering)
        replaced = None if regions is data.regions else type(data.regions).__name__
        return cls(data.rendering, regions, ink_margin(sketches), replaced)

    def settings(self) -> dict[str, Any]:
        """The reader as plain types, for `from_settings`; nothing in it depends on this machine."""
        regions = {name: getattr(self.regions, name) for name in ("top_k", "min_side", "max_iou", "mode", "max_side")}
        rest = {"margin": self.margin, "replaced": self.replaced}
        return {"rendering": asdict(self.rendering), "regions": regions, **rest}

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> Reader:
        """The reader of some `settings`.

        Raises:
            KeyError, TypeError: if they are not settings of a reader.
            InputError: if a value is out of range.
        """
        rendering, regions = Rendering(**settings["rendering"]), SelectiveSearch(**settings["regions"])
        return cls(rendering, regions, settings["margin"], settings.get("replaced"))

    def sketch(self, sketch: VectorSketch) -> SketchBatch:
        """One sketch without a batch axis; see `sketch_sample`."""
        return sketch_sample(self.rendering, placed(sketch, self.margin))

    def photo(self, photo: Photo, boxes: FloatArray | None = None) -> PhotoBatch:
        """One photo without a batch axis; its index in a split is -1.

        Args:
            photo: the photo.
            boxes: its regions `(N, 4)` in [0, 1], if they are known.

        Raises:
            InputError: if it cannot be read.
        """
        pixels = photo.read()
        if boxes is None:
            boxes = self.regions.regions([LoadedPhoto(photo.id, pixels, photo.digest())])[photo.id]
        return PhotoBatch(*self.rendering.photo(pixels, boxes, UnitAffine()), torch.tensor(-1))

    def sketches(self, sketches: Iterable[VectorSketch], size: int) -> Iterator[SketchBatch]:
        """Batches of `size` sketches, read by several threads."""
        return _batches(self.sketch, sketches, size)

    def photos(self, photos: Iterable[Photo], size: int) -> Iterator[PhotoBatch]:
        """Batches of `size` photos, read by several threads.

        Raises:
            InputError: if one cannot be read.
        """
        return _batches(self.photo, photos, size)


@dataclass(frozen=True)
class LoadedPhoto:
    """A photo that was read already, with the digest of its content, under which its regions are cached."""

    id: str
    pixels: npt.NDArray[np.uint8]
    content: str

    def read(self) -> npt.NDArray[np.uint8]:
        """The image, `(H, W, 3)` uint8 RGB."""
        return self.pixels

    def digest(self) -> str:
        """The digest that it was given."""
        return self.content


def sketch_sample(rendering: Rendering, sketch: VectorSketch) -> SketchBatch:
    """One sketch without a batch axis; it has no index in a split and no photo, so both are -1."""
    unknown = torch.tensor(-1)
    return SketchBatch(*rendering.sketch(sketch), unknown, unknown)


def searched(regions: object, rendering: Rendering) -> SelectiveSearch:
    """A source that has regions for any photo: `regions` itself, or selective search in place of files."""
    return regions if isinstance(regions, SelectiveSearch) else SelectiveSearch(rendering.num_regions)


def read_sketches(sketches: AnySketch | Iterable[AnySketch]) -> tuple[list[str], list[VectorSketch]]:
    """Names and sketches, of one or several: a file's name is its path as given, a sketch's its index.

    Raises:
        InputError: if there are none, one is no sketch, or a file cannot be read.
    """
    one = isinstance(sketches, AnySketch) or not isinstance(sketches, Iterable)
    given: list[Any] = [sketches] if one else list(sketches)  # type: ignore[arg-type]
    if not given:
        raise InputError("sketches", "there are none", "give files or sketches")
    for index, sketch in enumerate(given):
        if not isinstance(sketch, AnySketch):
            fix = "give a file or a VectorSketch; a SketchRecord has one as its `sketch`"
            raise InputError(f"sketches[{index}]", f"its type is {type(sketch).__name__}", fix)
    names = [str(index) if isinstance(sketch, VectorSketch) else str(sketch) for index, sketch in enumerate(given)]
    if one:
        return names, [given[0] if isinstance(given[0], VectorSketch) else read_sketch(given[0])]
    files = [Path(sketch) for sketch in given if not isinstance(sketch, VectorSketch)]
    read = iter(require_sketches(files, "sketches"))
    return names, [sketch if isinstance(sketch, VectorSketch) else next(read) for sketch in given]


def photo_records(photos: AnyPhotos) -> list[PhotoRecord]:
    """Records of any photos. Their ids: paths in a folder, paths as given, ids of records, else indices.

    Raises:
        InputError: if there are none, or one is no photo.
    """
    if isinstance(photos, str | Path) and not Path(photos).is_file():
        return folder_photos(Path(photos))
    many = isinstance(photos, Iterable) and not isinstance(photos, str | Image.Image)
    if isinstance(photos, np.ndarray):
        many = photos.ndim > 3
    records = [_record(index, photo) for index, photo in enumerate(photos if many else [photos])]  # type: ignore[arg-type]
    if not records:
        raise InputError("photos", "there are none", "give a folder, or a list of files or arrays")
    return records


def folder_photos(folder: Path) -> list[PhotoRecord]:
    """The photos in a folder at any depth; their ids are their paths in it.

    Raises:
        InputError: if there is no such folder, or no photo in it.
    """
    kinds = ", ".join(PHOTO_SUFFIXES)
    files = [path for path in listed(folder, "name a folder of photos") if path.suffix.lower() in PHOTO_SUFFIXES]
    if not files:
        raise InputError(folder, f"it holds no photos ({kinds})", "name a folder of photos")
    return [PhotoRecord(path.relative_to(folder).as_posix(), "", path) for path in files]


def ink_margin(sketches: Sequence[VectorSketch]) -> float | None:
    """The margin around the ink of a dataset's sketches, in frame units; None if their placement varies.

    Datasets of objects centre their sketches and scale them to one size, and a query is moved there too. In
    datasets of screens the placement carries meaning, and a query stays where it is.
    """
    if not sketches:
        return DEFAULT_MARGIN
    placements = np.array([_placement(sketch) for sketch in sketches])
    typical = np.median(placements, axis=0)
    alike = (np.abs(placements - typical) < 0.01).all(1).mean() > 0.95
    centred = (np.abs(typical[:2] - 0.5) < 0.01).all()
    return round(float(1 - typical[2]) / 2, 4) if alike and centred else None


def placed(sketch: VectorSketch, margin: float | None) -> VectorSketch:
    """The sketch centred and scaled to a margin; unchanged if it has it already, or `margin` is None."""
    if margin is None or np.allclose(_placement(sketch), (0.5, 0.5, 1 - 2 * margin), atol=2e-3):
        return sketch
    return sketch.normalised(margin)


def _placement(sketch: VectorSketch) -> tuple[float, float, float]:
    """Centre and longer extent of the ink."""
    x1, y1, x2, y2 = (float(v) for v in sketch.bounds)
    return (x1 + x2) / 2, (y1 + y2) / 2, max(x2 - x1, y2 - y1)


def _record(index: int, photo: Any) -> PhotoRecord:
    where, fix = f"photos[{index}]", "give a file, a PIL image, a PhotoRecord, or (H, W, 3) uint8 RGB"
    if isinstance(photo, PhotoRecord):
        return photo
    if isinstance(photo, str | Path):
        return PhotoRecord(str(photo), "", Path(photo))
    if isinstance(photo, Image.Image):
        return PhotoRecord(str(index), "", pixels=image_pixels(photo, where))
    if not isinstance(photo, np.ndarray):
        raise InputError(where, f"its type is {type(photo).__name__}", fix)
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
        raise InputError(where, f"an array of {photo.dtype} {photo.shape} is no image", fix)
    return PhotoRecord(str(index), "", pixels=photo)


def _batches(read: Any, items: Iterable[Any], size: int) -> Iterator[Any]:
    """What `read` makes of the items, `size` at a time."""
    left = iter(items)
    with ThreadPoolExecutor(usable_cores()) as pool:
        while some := list(islice(left, size)):
            yield stacked(pool.map(read, some))
