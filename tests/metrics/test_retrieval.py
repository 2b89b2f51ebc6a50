from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from fgsbir.metrics.retrieval import RetrievalMetrics

QUERIES, PHOTOS = 11, 7


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return torch.rand(QUERIES, PHOTOS, generator=generator), torch.arange(QUERIES) % PHOTOS


def update(metric: RetrievalMetrics, queries: list[int]) -> None:
    distances, target = data()
    index = torch.tensor(queries)
    metric.update(distances[index], target[index], index)


def expected() -> dict[str, float]:
    distances, target = data()
    ranks = [1 + sum(d < row[t] for d in row).item() for row, t in zip(distances, target, strict=True)]
    figures = {f"acc{k}": 100 * sum(rank <= k for rank in ranks) / QUERIES for k in (1, 5, 10)}
    return figures | {"mean_rank": sum(ranks) / QUERIES, "mrr": 100 * sum(1 / rank for rank in ranks) / QUERIES}


def check(figures: dict[str, torch.Tensor]) -> None:
    assert all(value.shape == () and value.is_floating_point() for value in figures.values())
    assert {name: value.item() for name, value in figures.items()} == pytest.approx(expected())


def test_batches_add_up() -> None:
    metric = RetrievalMetrics()
    update(metric, [3, 1, 10, 0])
    update(metric, [2, 4, 5, 6, 7, 8, 9])
    check(metric.compute())


def test_a_repeated_query_counts_once_and_keeps_its_own_rank() -> None:
    metric = RetrievalMetrics()
    update(metric, [9, 2, 2, 7, 10])
    update(metric, [0, 1, 2, 3, 4, 5, 6, 8, 9, 0, 0])
    check(metric.compute())


def test_reset_forgets() -> None:
    metric = RetrievalMetrics()
    metric.update(torch.tensor([[0.0, 1.0]]), torch.tensor([1]), torch.tensor([20]))
    metric.reset()
    update(metric, list(range(QUERIES)))
    check(metric.compute())


def test_query_and_distances_must_fit() -> None:
    metric = RetrievalMetrics()
    with pytest.raises(ValueError, match="query must"):
        metric.update(torch.zeros(2, 3), torch.tensor([0, 1]), torch.tensor([0]))
    with pytest.raises(ValueError, match="finite"):
        metric.update(torch.tensor([[float("nan")]]), torch.tensor([0]), torch.tensor([0]))


def work(rank: int, folder: Path) -> None:
    """One of two processes: uneven shares of the queries, some in both, as a padding sampler deals them."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    metric = RetrievalMetrics()
    if rank == 0:
        update(metric, [0, 2, 4, 6])
        update(metric, [8, 10, 1])
    else:
        update(metric, [1, 3, 5, 7, 9, 0])
    torch.save(metric.compute(), folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_give_the_figures_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2])  # the new processes import this module by its name
    mp.spawn(work, args=(tmp_path,), nprocs=2)
    for rank in range(2):
        check(torch.load(tmp_path / f"{rank}.pt", weights_only=True))
