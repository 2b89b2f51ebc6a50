"""The datasets, a file each; the two QMUL V2 releases share one."""

from fgsbir.data.datasets.base import DataSource, FileSource
from fgsbir.data.datasets.chair_v1 import ChairV1
from fgsbir.data.datasets.embedded import Embedded, PartTree
from fgsbir.data.datasets.folder import Folder
from fgsbir.data.datasets.qmul import ChairV2, ShoeV2
from fgsbir.data.datasets.swire import Swire

__all__ = ["ChairV1", "ChairV2", "DataSource", "Embedded", "FileSource", "Folder", "PartTree", "ShoeV2", "Swire"]
