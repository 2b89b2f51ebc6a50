"""The datasets, a file each."""

from fgsbir.data.datasets.sources import ChairV1, ChairV2, DataSource, Embedded, Folder, PartTree, ShoeV2, Swire

__all__ = ["ChairV1", "ChairV2", "DataSource", "Embedded", "Folder", "PartTree", "ShoeV2", "Swire"]
