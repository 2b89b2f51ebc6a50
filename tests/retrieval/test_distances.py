"""Chunked distances against one pair at a time."""

import pytest
import torch

from fgsbir.retrieval.distances import (
    NodeEncoding,
    VectorEncoding,
    concat,
    paired_distances,
    pairs_in_memory,
    select,
    squared_euclidean,
)


def encoding(counts, room, seed):
    torch.manual_seed(seed)
    nodes = torch.rand(len(counts), room, 3)
    return NodeEncoding(nodes, torch.tensor(counts), torch.rand(len(counts), 2))


def match(sketches, photos):
    """Unlike in its two arguments, and blind to padding."""
    out = []
    for s, n, p, m in zip(sketches.nodes, sketches.counts, photos.nodes, photos.counts, strict=True):
        out.append(2 * s[:n].sum() - p[:m].prod() + n * 10 + m)
    return torch.stack(out)


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_every_pair_has_the_distance_that_it_has_alone(chunk):
    sketches, photos = encoding([3, 1, 5, 2, 5], 6, 0), encoding([4, 1, 2, 4], 4, 1)
    sizes = []

    def counted(a, b):
        sizes.append(len(a.counts))
        return match(a, b)

    distances = paired_distances(counted, sketches, photos, chunk)
    assert distances.shape == (5, 4)
    assert distances.dtype == torch.float32
    assert max(sizes) <= chunk
    assert sum(sizes) == 20
    for q in range(5):
        for g in range(4):
            alone = match(select(sketches, torch.tensor([q])), select(photos, torch.tensor([g])))
            torch.testing.assert_close(distances[q, g], alone[0])


def test_pairs_of_a_chunk_have_like_numbers_of_nodes():
    sketches, photos = encoding([1, 9, 1, 9], 9, 0), encoding([2, 2, 2], 2, 1)
    seen = []
    paired_distances(lambda a, b: seen.append(a.counts.tolist()) or match(a, b), sketches, photos, 6)
    assert seen == [[9] * 6, [1] * 6]


def test_concat_pads_nodes_to_the_longest():
    first, second = encoding([2, 1], 2, 0), encoding([4], 5, 1)
    whole = concat([first, second])
    assert whole.nodes.shape == (3, 5, 3)
    assert torch.equal(whole.nodes[:2, :2], first.nodes)
    assert not whole.nodes[:2, 2:].any()
    assert torch.equal(whole.nodes[2:], second.nodes)
    assert whole.counts.tolist() == [2, 1, 4]
    assert torch.equal(whole.vector, torch.cat([first.vector, second.vector]))
    vectors = concat([VectorEncoding(first.vector), VectorEncoding(second.vector)])
    assert torch.equal(vectors.vector, whole.vector)


def test_select_takes_rows_of_every_field():
    whole = encoding([2, 1, 3], 3, 0)
    chosen = select(whole, torch.tensor([2, 0, 2]))
    for field, own in zip(chosen, whole, strict=True):
        assert torch.equal(field, torch.stack([own[2], own[0], own[2]]))


def test_squared_euclidean_is_the_sum_of_squared_differences():
    torch.manual_seed(0)
    a, b = torch.randn(4, 6), torch.randn(5, 6)
    a[1] = b[2]
    distances = squared_euclidean(a, b)
    for i in range(4):
        for j in range(5):
            expected = sum((float(x) - float(y)) ** 2 for x, y in zip(a[i], b[j], strict=True))
            assert float(distances[i, j]) == pytest.approx(expected, abs=1e-4)
    assert (distances >= 0).all()
    assert squared_euclidean(a.bfloat16(), b.bfloat16()).dtype == torch.float32
    assert squared_euclidean(torch.zeros(2, 0), torch.zeros(3, 0)).tolist() == [[0] * 3] * 2


def test_more_memory_holds_more_pairs_and_larger_nodes_fewer():
    assert pairs_in_memory(1, 10**6, 10**6) == 1
    sizes = [pairs_in_memory(m, 32, 128) for m in (1, 2, 16, 256)]
    assert sizes == sorted(set(sizes))
    assert pairs_in_memory(256, 64, 128) < pairs_in_memory(256, 32, 128)
    assert pairs_in_memory(256, 32, 512) < pairs_in_memory(256, 32, 128)
    assert pairs_in_memory(256, 32, 128) * 32 * 128 * 4 < 256 * 2**20  # the nodes alone fit by far
