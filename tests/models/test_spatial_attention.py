import torch

from fgsbir.models.spatial_attention import SpatialAttention


def test_attention_is_that_of_a_loop_over_places():
    torch.manual_seed(0)
    attention, maps = SpatialAttention(4), torch.randn(2, 4, 3, 5)
    first, _, last = attention.score
    out = attention(maps)
    for b in range(2):
        scores = {}
        for y in range(3):
            for x in range(5):
                hidden = (first.weight[:, :, 0, 0] @ maps[b, :, y, x] + first.bias).clamp(min=0)
                scores[y, x] = float((last.weight[0, :, 0, 0] @ hidden + last.bias).exp())
        for (y, x), score in scores.items():
            expected = maps[b, :, y, x] * (1 + score / sum(scores.values()))
            torch.testing.assert_close(out[b, :, y, x], expected)


def test_every_parameter_learns_and_the_mask_sums_to_one():
    torch.manual_seed(0)
    attention, maps = SpatialAttention(4), torch.randn(2, 4, 3, 5)
    torch.testing.assert_close(attention.mask(maps).sum((1, 2, 3)), torch.ones(2))
    attention(maps).square().sum().backward()
    learning = {name for name, p in attention.named_parameters() if p.grad is not None and p.grad.abs().max() > 1e-6}
    assert learning == {"score.0.weight", "score.0.bias", "score.2.weight"}  # a softmax ignores a constant
