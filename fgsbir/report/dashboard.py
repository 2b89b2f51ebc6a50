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
        entity: user or team at W&B; None for the account's default.
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
        sections=[ws.Section(name=name, panels=panels, is_open=True) for name, panels in _panels().items()],
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

    panels = _panels()

    def grid(section: str, *groups: str) -> Any:
        # A runset without a project shows the report's own.
        order = [wr.OrderBy(wr.SummaryMetric("test/acc1"), ascending=False)]
        return wr.PanelGrid(runsets=[wr.Runset(name="Runs", groupby=list(groups), order=order)], panels=panels[section])

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
            grid("Test", "config.dataset", "config.system", "config.recipe"),
            wr.H1("Training"),
            wr.P("The checkpoint that is tested is the one with the highest mean reciprocal rank on val."),
            grid("Training", "config.dataset", "config.system", "config.recipe"),
            wr.H1("What was retrieved, and the hierarchies that were discovered"),
            wr.P("A row of a grid is a sketch, its true photo, and the nearest photos; the true one is framed."),
            grid("Retrieved and discovered"),
            wr.H1("Tables"),
            grid("Tables"),
        ],
    )


def _panels() -> dict[str, list[Any]]:
    """The panels of each section; charts stand side by side, images and tables one below the other."""
    import wandb_workspaces.reports.v2 as wr

    bars = {"test/acc1": "acc@1", "test/acc10": "acc@10", "test/mrr": "Mean reciprocal rank"}
    lines = {"val/acc1": "acc@1 on val", "val/mrr": "Mean reciprocal rank on val", "train/loss": "Loss"}
    images = {"test/retrieval": "Retrieved photos", "test/hierarchy": "Merge trees"}
    return {
        "Test": [
            wr.BarPlot(
                title=title,
                metrics=[wr.SummaryMetric(metric)],
                groupby=wr.Config("system"),
                groupby_aggfunc="mean",
                groupby_rangefunc="stddev",
                layout=wr.Layout(x=8 * i, w=8, h=8),
            )
            for i, (metric, title) in enumerate(bars.items())
        ],
        "Training": [
            wr.LinePlot(title=title, x="epoch", y=[metric], layout=wr.Layout(x=8 * i, w=8, h=8))
            for i, (metric, title) in enumerate(lines.items())
        ],
        "Retrieved and discovered": [
            wr.MediaBrowser(title=title, media_keys=[key], num_columns=2, layout=wr.Layout(y=16 * i, w=24, h=16))
            for i, (key, title) in enumerate(images.items())
        ],
        "Tables": [
            wr.WeavePanelSummaryTable(table_name=name, layout=wr.Layout(y=12 * i, w=24, h=12))
            for i, name in enumerate(("test/result", "test/ranks"))
        ],
    }
