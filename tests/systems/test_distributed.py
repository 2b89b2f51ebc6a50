"""Two processes with half a batch each learn what one process learns from the whole."""

import pytest
import torch
import torch.distributed as dist
from tiny_systems import make, pen_paths, pictures
from torch import multiprocessing

from fgsbir.data.sample import PairBatch, PhotoBatch, SketchBatch
from fgsbir.systems import SYSTEMS

WORLD = 2
CASES = [(name, {}) for name in SYSTEMS if name != "raw_pixels"] + [("proposed", {"global_weight": 0.5})]


def batch(rows):
    """Some rows of a batch of four: each process pads unlike the other, and both have a sketch of photo 0."""
    ids = torch.tensor([0, 1, 0, 2])
    sketch, photo = pictures([5, 2, 3, 1], 5, seed=1), pictures([2, 6, 1, 4], 6, seed=2)
    fields = [SketchBatch(*sketch, *pen_paths([9, 3, 12, 5], 12), torch.arange(4), ids), PhotoBatch(*photo, ids)]
    return PairBatch(*(type(f)(*(tensor[rows] for tensor in f)) for f in fields))


def learn(case, rows):
    """The loss of some rows and its gradients."""
    system = make(case[0], **case[1])
    loss = system.batch_loss(batch(rows))
    loss.backward()
    return loss.detach(), gradients(system)


def gradients(system):
    return {name: p.grad for name, p in system.named_parameters() if p.grad is not None}


def half(rank, folder):
    """One of the processes."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=WORLD)
    for i, case in enumerate(CASES):
        loss, found = learn(case, slice(2 * rank, 2 * rank + 2))
        for gradient in found.values():
            dist.all_reduce(gradient)
            gradient /= WORLD
        torch.save((loss, found), f"{folder}/{i}-{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.skipif(not dist.is_available(), reason="torch was built without torch.distributed")
def test_two_processes_have_the_loss_and_gradients_of_one(tmp_path):
    """The contrastive loss of every system, over the pairs of both."""
    multiprocessing.spawn(half, (str(tmp_path),), nprocs=WORLD)
    for i, case in enumerate(CASES):
        loss, expected = learn(case, slice(0, 4))
        assert sum(float(g.abs().sum()) for g in expected.values()) > 0
        for rank in range(WORLD):
            found_loss, found = torch.load(tmp_path / f"{i}-{rank}.pt", weights_only=True)
            torch.testing.assert_close(found_loss, loss, atol=1e-5, rtol=1e-5)
            assert found.keys() == expected.keys()
            for key, gradient in expected.items():
                scale = max(1.0, float(gradient.abs().max()))
                torch.testing.assert_close(
                    found[key] / scale, gradient / scale, atol=1e-5, rtol=1e-4, msg=f"{case} {key}"
                )
