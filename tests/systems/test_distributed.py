"""Two processes with half a batch each learn what one process learns from the whole."""

import pytest
import torch
import torch.distributed as dist
from torch import multiprocessing

from fgsbir.data.sample import PairBatch, PhotoBatch, SketchBatch
from fgsbir.models.backbone import Backbone
from fgsbir.systems import BSiamese, Proposed

WORLD = 2


def make(name):
    torch.manual_seed(0)
    backbone = Backbone("test_efficientnet", 2)
    system = BSiamese(backbone, dim=16) if name == "b_siamese" else Proposed(backbone, 16, 8, global_weight=0.5)
    return system.eval()  # no Gumbel noise


def batch(rows):
    """Some rows of a batch of four; two of them show the same photo, one in each process."""
    torch.manual_seed(1)
    mask = torch.arange(5) < torch.tensor([5, 2, 3, 4])[:, None]
    corner = torch.rand(4, 5, 2) * 0.5
    boxes = torch.cat([corner, corner + 0.4], 2) * mask[..., None]
    sketch, photo = torch.randint(0, 256, (2, 4, 3, 48, 48), dtype=torch.uint8)
    ids = torch.tensor([0, 1, 0, 2])
    points, lengths = torch.zeros(4, 0, 3), torch.zeros(4, dtype=torch.long)
    fields = [
        SketchBatch(sketch, boxes, mask, points, lengths, torch.arange(4), ids),
        PhotoBatch(photo, boxes, mask, ids),
    ]
    return PairBatch(*(type(f)(*(tensor[rows] for tensor in f)) for f in fields))


def gradients(system):
    return {name: p.grad for name, p in system.named_parameters() if p.grad is not None}


def half(rank, folder):
    """One of the processes."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=WORLD)
    for name in ("b_siamese", "proposed"):
        system = make(name)
        loss = system.batch_loss(batch(slice(2 * rank, 2 * rank + 2)))
        loss.backward()
        found = gradients(system)
        for gradient in found.values():
            dist.all_reduce(gradient)
            gradient /= WORLD
        torch.save((loss.detach(), found), f"{folder}/{name}-{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_available(), reason="torch was built without torch.distributed")
def test_two_processes_have_the_loss_and_gradients_of_one(tmp_path):
    multiprocessing.spawn(half, (str(tmp_path),), nprocs=WORLD)
    for name in ("b_siamese", "proposed"):
        system = make(name)
        loss = system.batch_loss(batch(slice(0, 4)))
        loss.backward()
        expected = gradients(system)
        assert sum(float(g.abs().sum()) for g in expected.values()) > 0
        for rank in range(WORLD):
            found_loss, found = torch.load(tmp_path / f"{name}-{rank}.pt", weights_only=True)
            torch.testing.assert_close(found_loss, loss.detach(), atol=1e-5, rtol=1e-5)
            assert found.keys() == expected.keys()
            for key, gradient in expected.items():
                scale = max(1.0, float(gradient.abs().max()))
                torch.testing.assert_close(found[key] / scale, gradient / scale, atol=1e-5, rtol=1e-4, msg=key)
