"""A run's mirror at Weights & Biases.

The run folder stays the record, and the only source of tables: without wandb nothing is missing but the mirror.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from fgsbir.errors import InputError
from fgsbir.runs.folder import RunFolder

if TYPE_CHECKING:
    from wandb import Run

Mode = Literal["online", "offline", "disabled"]
BEST = {"val/acc1": "max", "val/acc5": "max", "val/acc10": "max", "val/mrr": "max", "val/mean_rank": "min"}
"""What the summary keeps of each curve."""
SCORES = ("acc1", "acc5", "acc10", "mean_rank", "mrr")


@dataclass(frozen=True)
class WandbOptions:
    """How a run is logged to Weights & Biases; what is not given comes from W&B's own environment variables.

    Args:
        mode: "online", "offline" (files that `wandb sync` uploads later) or "disabled"; WANDB_MODE, else "offline".
        project: WANDB_PROJECT, else "fgsbir".
        entity: user or team; WANDB_ENTITY, else the account's default.
        group: runs that belong together, such as the runs of a sweep; WANDB_RUN_GROUP, else the experiment.
        tags: beside dataset, recipe and seed; WANDB_TAGS, separated by commas, else none.
    """

    mode: Mode | None = None
    project: str | None = None
    entity: str | None = None
    group: str | None = None
    tags: list[str] | None = None

    @property
    def resolved_mode(self) -> Mode:
        """The mode, from the option or the environment; "disabled" where wandb is not installed and nobody asks for it.

        Raises:
            InputError: if it is none of the three, or "online" without wandb.
        """
        mode = self.mode or os.environ.get("WANDB_MODE") or "offline"
        if mode not in get_args(Mode):
            raise InputError("WANDB_MODE", f"'{mode}' is unknown", f"use one of {', '.join(get_args(Mode))}")
        if find_spec("wandb") is None:
            if mode == "online":
                raise InputError("wandb.mode", "wandb is not installed", "pip install 'fgsbir[wandb]', or use disabled")
            return "disabled"
        return cast(Mode, mode)

    @property
    def resolved_tags(self) -> list[str]:
        """The tags, from the option or the environment."""
        if self.tags is not None:
            return self.tags
        return [tag.strip() for tag in os.environ.get("WANDB_TAGS", "").split(",") if tag.strip()]


def open_run(
    folder: RunFolder, experiment: str, options: WandbOptions, config: Mapping[str, Any], tags: Sequence[str]
) -> Run:
    """Starts or goes on with the W&B run of a run folder; training, resumed training and test share one.

    Args:
        folder: folder of the run.
        experiment: its name, e.g. "chair_v2/proposed".
        options: where to; W&B is not disabled.
        config: what the run is: the resolved configuration, system and dataset.
        tags: of every run.

    Raises:
        InputError: if W&B cannot be reached.
    """
    import wandb

    folder.path.mkdir(parents=True, exist_ok=True)
    if wandb.run is not None and wandb.run.id == folder.wandb_id():  # the W&B run of the training just before
        return wandb.run
    if wandb.run is not None:  # another training's in this process, which `init` would continue
        wandb.finish()
    try:
        run = wandb.init(
            mode=options.resolved_mode,
            id=folder.wandb_id(),
            resume="allow",
            dir=folder.path,
            project=options.project or os.environ.get("WANDB_PROJECT") or "fgsbir",
            entity=options.entity,
            name=f"{experiment}/{folder.path.name}",
            group=options.group or os.environ.get("WANDB_RUN_GROUP") or experiment,
            tags=[*tags, *options.resolved_tags],
        )
    except wandb.errors.Error as error:
        raise InputError(
            "wandb", str(error).splitlines()[0], "log in with `wandb login`, or use --wandb.mode offline"
        ) from None
    run.config.update(dict(config), allow_val_change=True)
    run.define_metric("epoch", hidden=True)
    run.define_metric("train/*", step_metric="epoch")
    for name, best in BEST.items():
        run.define_metric(name, step_metric="epoch", summary=best)
    return run


def log_test(run: Run, folder: RunFolder) -> None:
    """Logs what the test left in the run folder: scores, tables, retrieval grid and merge trees.

    Raises:
        InputError: if a file of the run is missing or damaged.
    """
    import wandb

    # Imported late: drawing needs PIL and jinja2, for which no training should wait.
    from fgsbir.visualization.grids import retrieval_grid
    from fgsbir.visualization.trees import hierarchy_page, stored_hierarchies

    result, ranking, thumbnails = folder.read_result(), folder.read_ranking(), folder.read_thumbnails()
    scores = {name: value for name, value in result.to_dict().items() if isinstance(value, str | int | float)}
    ranks = wandb.Table(columns=["query", "photo", "rank", "nearest"])
    for query, target, rank, top in zip(ranking.query_ids, ranking.target, ranking.ranks, ranking.top, strict=True):
        ranks.add_data(str(query), str(ranking.gallery_ids[target]), int(rank), str(ranking.gallery_ids[top[0]]))
    logged: dict[str, Any] = {
        "test/result": wandb.Table(columns=list(scores), data=[list(scores.values())]),
        "test/ranks": ranks,
        "test/retrieval": wandb.Image(
            retrieval_grid(ranking, *thumbnails), caption="sketch, its photo, nearest photos; the true one is framed"
        ),
    }
    if folder.hierarchy.exists():
        views = stored_hierarchies(folder.read_hierarchy(), ranking, thumbnails.photos, "h")
        logged["test/hierarchy"] = [wandb.Html(hierarchy_page(view)) for view in views]
    run.log(logged)
    run.summary.update({f"test/{name}": scores[name] for name in SCORES})


def close_run(failed: bool) -> None:
    """Ends the W&B run of this process, if there is one."""
    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        wandb.finish(exit_code=int(failed))
