"""A workspace and a report at Weights & Biases over what runs log there, as code."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from fgsbir.errors import InputError

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2 import Report
    from wandb_workspaces.workspaces import Workspace

TITLE = "Sketch-based image retrieval"
LOGIN = "log in with `wandb login`, or set WANDB_API_KEY"


def publish(entity: str | None, project: str) -> tuple[str, str]:
    """Saves the dashboard beside the runs of a project.

    Args:
        entity: user or team at W&B; None for that of the account.
        project: project of the runs, made if it is missing.

    Returns:
        The addresses of workspace and report.

    Raises:
        InputError: if wandb-workspaces is not installed, there is no account, or W&B refuses.
    """
    if find_spec("wandb_workspaces") is None:
        raise InputError("fgsbir dashboard", "wandb-workspaces is not installed", "pip install 'fgsbir[wandb]'")
    import wandb

    try:
        account = wandb.Api()
    except wandb.errors.UsageError:
        raise InputError("fgsbir dashboard", "no W&B account", LOGIN) from None
    try:
        entity = entity or str(account.default_entity)
        return build_workspace(entity, project).save().url, build_report(entity, project).save().url
    except Exception as error:  # the two libraries raise many types for a refusal or a lost connection
        problem = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"W&B project '{project}'", f"W&B says: {problem}", f"check the names, or {LOGIN}") from None


def build_workspace(entity: str, project: str) -> Workspace:
    """The workspace: scores, curves and images of the runs of a project, grouped by sweep and system over seeds."""
    import wandb_workspaces.workspaces as ws

    return ws.Workspace(
        entity=entity,
        project=project,
        name=TITLE,
        sections=[
            ws.Section(name=name, panels=panels, is_open=True)
            for name, panels in (
                ("Test", _scores()),
                ("Training", _curves()),
                ("Retrieved and discovered", _images()),
                ("Tables", _tables()),
            )
        ],
        settings=ws.WorkspaceSettings(x_axis="epoch", max_runs=100),
        runset_settings=ws.RunsetSettings(
            groupby=[ws.Metric("Group"), ws.Config("system")],
            order=[ws.Ordering(ws.Summary("test/acc1"), ascending=False)],
            pinned_columns=[f"config:{name}.value" for name in ("dataset", "recipe", "seed")]
            + [f"summary:test/{name}" for name in ("acc1", "acc10")],
        ),
    )


def build_report(entity: str, project: str) -> Report:
    """The report: the same panels with text, each line and bar a system's mean over its seeds."""
    import wandb_workspaces.reports.v2 as wr

    def grid(panels: list[Any], *groups: str) -> Any:
        # A runset without a project shows the report's own.
        order = [wr.OrderBy(wr.SummaryMetric("test/acc1"), ascending=False)]
        return wr.PanelGrid(runsets=[wr.Runset(name="Runs", groupby=list(groups), order=order)], panels=panels)

    return wr.Report(
        entity=entity,
        project=project,
        title=TITLE,
        description="Runs of fgsbir, as they were logged",
        width="fluid",
        blocks=[
            wr.H1("Accuracy on test"),
            wr.P(
                "Share of test sketches whose true photo is first, or among the first ten, and the mean of 1/rank, "
                "all in percent. "
                "A bar is the mean over the seeds of a system; runs compare only on one dataset and split."
            ),
            grid(_scores(), "config.dataset", "config.system", "config.recipe"),
            wr.H1("Training"),
            wr.P("The checkpoint that is tested is the one with the highest mean reciprocal rank on val."),
            grid(_curves(), "config.dataset", "config.system", "config.recipe"),
            wr.H1("What was retrieved, and the hierarchies that were discovered"),
            wr.P("A row of a grid is a sketch, its true photo, and the nearest photos; the true one is framed."),
            grid(_images()),
            wr.H1("Tables"),
            grid(_tables()),
        ],
    )


def _scores() -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    def bars(metric: str, title: str, index: int) -> Any:
        layout = wr.Layout(x=8 * index, w=8, h=8)
        return wr.BarPlot(
            title=title,
            metrics=[wr.SummaryMetric(metric)],
            groupby=wr.Config("system"),
            groupby_aggfunc="mean",
            groupby_rangefunc="stddev",
            layout=layout,
        )

    scores = {"test/acc1": "acc@1", "test/acc10": "acc@10", "test/mrr": "Mean reciprocal rank"}
    return [bars(metric, title, index) for index, (metric, title) in enumerate(scores.items())]


def _curves() -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    def lines(metric: str, title: str, index: int) -> Any:
        return wr.LinePlot(title=title, x="epoch", y=[metric], layout=wr.Layout(x=8 * index, w=8, h=8))

    return [
        lines("val/acc1", "acc@1 on val", 0),
        lines("val/mrr", "Mean reciprocal rank on val", 1),
        lines("train/loss", "Loss", 2),
    ]


def _images() -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    keys = {"test/retrieval": "Retrieved photos", "test/hierarchy": "Merge trees"}
    return [
        wr.MediaBrowser(title=title, media_keys=[key], num_columns=2, layout=wr.Layout(y=16 * index, w=24, h=16))
        for index, (key, title) in enumerate(keys.items())
    ]


def _tables() -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    return [
        wr.WeavePanelSummaryTable(table_name=name, layout=wr.Layout(y=12 * index, w=24, h=12))
        for index, name in enumerate(("test/result", "test/ranks"))
    ]
