"""How photos are held out."""

import hashlib

import numpy as np

from fgsbir.data.splits import unit_hash


def test_unit_hash() -> None:
    ids = [f"photo {n}" for n in range(2000)]
    values = np.array([unit_hash(id_) for id_ in ids])
    assert values.min() >= 0
    assert values.max() < 1
    np.testing.assert_allclose(np.histogram(values, 10, (0, 1))[0], 200, atol=50)
    assert unit_hash("a") == int(hashlib.sha256(b"0/a").hexdigest()[:16], 16) / 2**64
    assert unit_hash("a", seed=1) != unit_hash("a")
