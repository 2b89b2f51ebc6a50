"""The first stage of a search: the photos whose vectors are nearest to the sketch's, by FAISS or by Qdrant."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fgsbir.errors import InputError
from fgsbir.files import atomic_write
from fgsbir.search.index import DISTILLED, LISTS, PhotoIndex, spread
from fgsbir.sketch.strokes import IntArray

BACKEND_HELP = "first stage: faiss, qdrant (in a folder of the index), or the URL of a Qdrant server; default: faiss"
DEPTH = 100
"""Default number of candidates of the first stage."""
INSTALL = "install it: pip install 'fgsbir[search]'"

FLAT_LIMIT = 50_000
"""Most photos that are searched exactly; larger indexes are searched by inverted lists."""
PROBES = 16
"""Inverted lists searched for a query; more where these hold fewer photos than are asked for."""
_BLOCK = 8192  # vectors added at a time


class FirstStage(ABC):
    """Nearest-neighbour search over the vectors of an index; results are rows of the index."""

    @abstractmethod
    def sync(self, index: PhotoIndex) -> None:
        """Adds and removes vectors until they match the index, and stores the result."""

    def require_complete(self, index: PhotoIndex) -> None:  # noqa: B027 (FAISS has nothing to check)
        """Refuses to search while vectors are missing.

        Raises:
            InputError: if photos were added since the last `sync`.
        """

    @abstractmethod
    def nearest(self, vector: npt.NDArray[np.float32], count: int) -> IntArray:
        """The rows of the `count` vectors nearest to `vector` `(D,)`, nearest first; of all, if there are fewer."""


def open_first_stage(index: PhotoIndex, backend: str) -> FirstStage:
    """The first stage of an index.

    Args:
        index: index to search.
        backend: "faiss"; "qdrant" for a Qdrant collection in the index's folder, for one process at a time; or the URL
            of a Qdrant server.

    Raises:
        InputError: if the backend is unknown, its package is not installed, or the server does not answer.
    """
    if backend == "faiss":
        return Faiss(index)
    if backend == "qdrant":
        return Qdrant(index, None)
    if backend.startswith(("http://", "https://")):
        return Qdrant(index, backend)
    raise InputError("--backend", f"'{backend}' is unknown", "use faiss, qdrant, or the URL of a Qdrant server")


class Faiss(FirstStage):
    """FAISS in this process: exact up to `flat_limit` photos, inverted lists in a file beyond.

    The lists quantise vectors to 8 bits a number; the second stage uses the exact vectors.

    Args:
        index: index to search.
        flat_limit: see `FLAT_LIMIT`.
        probes: see `PROBES`.

    Raises:
        InputError: if FAISS is not installed.
    """

    def __init__(self, index: PhotoIndex, flat_limit: int = FLAT_LIMIT, probes: int = PROBES) -> None:
        try:
            import faiss
        except ImportError:
            raise InputError("--backend faiss", "FAISS is not installed", INSTALL) from None
        self.faiss: Any = faiss
        self.flat_limit, self.probes, self.path = flat_limit, probes, index.folder / LISTS
        self._index = self._current(index)

    def _current(self, index: PhotoIndex) -> Any:
        """A FAISS index of all photos; lists come from their file if it fits, brought up to date."""
        vectors, rows = _vectors(index), index.rows()
        if len(rows) <= self.flat_limit:
            found = self.faiss.IndexIDMap2(self.faiss.IndexFlatL2(vectors.shape[1]))
        else:
            found = self._stored(vectors.shape[1], len(rows)) or self._trained(vectors, rows)
            held = _held(self.faiss, found)
            if len(gone := np.setdiff1d(held, rows)):
                found.remove_ids(gone)
            rows = np.setdiff1d(rows, held)
        for some in _blocks(rows):
            found.add_with_ids(np.ascontiguousarray(vectors[some]), some)
        return found

    def _stored(self, dim: int, photos: int) -> Any:
        """The lists in the file; None if it is missing or damaged, or was made for a much smaller or larger index."""
        try:
            found = self.faiss.read_index(str(self.path))
        except RuntimeError:
            return None
        fits = isinstance(found, self.faiss.IndexIVFScalarQuantizer) and found.d == dim
        return found if fits and 0.5 <= found.nlist / _lists(photos) <= 2 else None

    def _trained(self, vectors: npt.NDArray[np.float32], rows: IntArray) -> Any:
        """Empty lists, their centres learnt from a sample."""
        lists, dim = _lists(len(rows)), vectors.shape[1]
        kind = self.faiss.ScalarQuantizer.QT_8bit
        found = self.faiss.IndexIVFScalarQuantizer(self.faiss.IndexFlatL2(dim), dim, lists, kind)
        sample = rows[spread(len(rows), 64 * lists)]
        found.train(np.ascontiguousarray(vectors[sample]))
        return found

    def sync(self, index: PhotoIndex) -> None:
        """Writes the lists to their file; removes the file if there are none."""
        self._index = self._current(index)
        if isinstance(self._index, self.faiss.IndexIVFScalarQuantizer):
            with atomic_write(self.path) as file:
                self.faiss.write_index(self._index, self.faiss.PyCallbackIOWriter(file.write))
        else:
            self.path.unlink(missing_ok=True)

    def nearest(self, vector: npt.NDArray[np.float32], count: int) -> IntArray:
        """See `FirstStage.nearest`.

        Inverted lists hold few photos where others hold many that are nearly equal, so ever more lists are searched
        until `count` photos are found. Those of later lists come last: the answer to a smaller `count` is the start of
        the answer to a larger one, and one measurement of recall is true of all.
        """
        query, count = np.ascontiguousarray(vector[None]), min(count, self._index.ntotal)
        if not isinstance(self._index, self.faiss.IndexIVF):
            return np.asarray(self._index.search(query, count)[1][0])
        found, probes = np.empty(0, np.int64), self.probes
        while True:
            params = self.faiss.SearchParametersIVF(nprobe=probes)
            rows = self._index.search(query, count, params=params)[1][0]
            found = np.append(found, rows[(rows >= 0) & ~np.isin(rows, found)])[:count]  # -1 stands for a missing one
            if len(found) == count or probes >= self._index.nlist:
                return found
            probes *= 2


def _lists(photos: int) -> int:
    return round(math.sqrt(photos))


def _held(faiss: Any, found: Any) -> IntArray:
    """The rows in inverted lists."""
    lists = found.invlists
    parts = [faiss.rev_swig_ptr(lists.get_ids(i), n).copy() for i in range(found.nlist) if (n := lists.list_size(i))]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _vectors(index: PhotoIndex) -> npt.NDArray[np.float32]:
    """The vectors of all rows; an index without vectors has no first stage."""
    vectors = index.vectors()
    assert vectors is not None
    return vectors


def _blocks(rows: IntArray) -> Iterator[IntArray]:
    for start in range(0, len(rows), _BLOCK):
        yield rows[start : start + _BLOCK]


class Qdrant(FirstStage):
    """A Qdrant collection, on a server that several processes and machines share, or in a folder of the index.

    The id of a point is its row, and its payload the photo's id. `fgsbir index` fills the collection; searches only
    read it. The server's key is read from `QDRANT_API_KEY`.

    Args:
        index: index to search.
        url: URL of the server; None for the folder `qdrant` of the index.

    Raises:
        InputError: if the client is not installed or the server does not answer.
    """

    def __init__(self, index: PhotoIndex, url: str | None) -> None:
        try:
            from qdrant_client import QdrantClient, models
        except ImportError:
            raise InputError("--backend qdrant", "qdrant-client is not installed", INSTALL) from None
        self.models, self.where = models, url or str(index.folder / "qdrant")
        field = index.vector_field or ""
        self.collection = f"fgsbir-{index.manifest.name}"
        if field.startswith(DISTILLED):  # every head has vectors of its own
            self.collection += f"-{field}"
        try:
            if url is None:
                self.client = QdrantClient(path=self.where)
            else:
                self.client = QdrantClient(
                    url=url, api_key=os.environ.get("QDRANT_API_KEY"), timeout=30, check_compatibility=False
                )
            self.client.collection_exists(self.collection)
        except Exception as error:  # httpx, grpc and the server's answer raise many kinds
            fix = "start the server, or check the URL and QDRANT_API_KEY"
            raise InputError(self.where, f"Qdrant cannot be used ({str(error).splitlines()[0]})", fix) from None

    def require_complete(self, index: PhotoIndex) -> None:
        """Refuses to search a collection that lacks photos. Rows are added in order, so only the last is looked for."""
        last = int(index.rows()[-1])
        exists = self.client.collection_exists(self.collection)
        if not exists or not self.client.retrieve(self.collection, [last], with_payload=False):
            problem = f"the collection {self.collection} lacks photos of this index"
            raise InputError(self.where, problem, "fill it: fgsbir index --out INDEX, with this --backend")

    def sync(self, index: PhotoIndex) -> None:
        """Creates the collection if it is missing, then adds and deletes points."""
        vectors = _vectors(index)
        if not self.client.collection_exists(self.collection):
            size = self.models.VectorParams(size=vectors.shape[1], distance=self.models.Distance.EUCLID)
            self.client.create_collection(self.collection, vectors_config=size)
        rows, held = index.rows(), self._rows()
        ids = {stored.row: photo for photo, stored in index.photos.items()}
        if gone := np.setdiff1d(held, rows).tolist():
            self.client.delete(self.collection, self.models.PointIdsList(points=gone))
        for some in _blocks(np.setdiff1d(rows, held)):
            points = [
                self.models.PointStruct(id=row, vector=vector.tolist(), payload={"photo": ids[row]})
                for row, vector in zip(some.tolist(), vectors[some], strict=True)
            ]
            self.client.upload_points(self.collection, points, wait=True)

    def _rows(self) -> IntArray:
        rows: list[int] = []
        after: Any = None
        while True:
            points, after = self.client.scroll(
                self.collection, limit=_BLOCK, offset=after, with_payload=False, with_vectors=False
            )
            rows += [int(point.id) for point in points]
            if after is None:
                return np.array(rows, dtype=np.int64)

    def nearest(self, vector: npt.NDArray[np.float32], count: int) -> IntArray:
        """See `FirstStage.nearest`."""
        rows = self._nearest(vector, count, exact=False)
        # Among near-equal vectors a walk through the server's graph may end early.
        return rows if len(rows) == count else self._nearest(vector, count, exact=True)

    def _nearest(self, vector: npt.NDArray[np.float32], count: int, exact: bool) -> IntArray:
        params = self.models.SearchParams(exact=exact)
        answer = self.client.query_points(
            self.collection, vector.tolist(), limit=count, with_payload=False, search_params=params
        )
        return np.array([int(point.id) for point in answer.points], dtype=np.int64)
