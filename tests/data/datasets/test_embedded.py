"""The embedded dataset and its cache."""

import numpy as np

from fgsbir.data.datasets import Embedded


def test_the_embedded_part_trees_are_those_of_the_sketches() -> None:
    source = Embedded("screens", train=2, val=1, test=1, sketches_per_photo=2, size=48)
    trees, data = source.part_trees(), source.load()
    assert list(trees) == [sketch.id for sketch in data.sketches]
    for sketch in data.sketches:
        parents, owners = trees[sketch.id]
        assert owners.shape == (len(sketch.sketch),)
        assert (owners >= 0).all()
        assert (owners < len(parents)).all()
        assert parents[0] == -1
        assert ((parents[1:] >= 0) & (parents[1:] < np.arange(1, len(parents)))).all()
    instance = source.instances[3]
    assert [p.parent for p in instance.parts] == trees[f"{instance.id}_2"].parents.tolist()
    assert np.array_equal(instance.stroke_parts[1], trees[f"{instance.id}_2"].owners)
