"""The dashboard is built and written out without a network or an account."""

import json
import socket
import sys

import pytest

from fgsbir.cli import main
from fgsbir.report.dashboard import build_report, build_workspace, publish

pytest.importorskip("wandb_workspaces")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def stranger(monkeypatch):
    """A machine on which nobody has logged in."""
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("NETRC", "/dev/null")
    monkeypatch.setenv("WANDB_SILENT", "true")


def spec(page):
    return json.loads(page._to_model().model_dump_json(by_alias=True, exclude_none=True))


def views(panels):
    return [(panel["viewType"], panel["config"].get("chartTitle")) for panel in panels]


PANELS = [
    ("Bar Chart", "acc@1"),
    ("Bar Chart", "acc@10"),
    ("Bar Chart", "Mean reciprocal rank"),
    ("Run History Line Plot", "acc@1 on val"),
    ("Run History Line Plot", "Mean reciprocal rank on val"),
    ("Run History Line Plot", "Loss"),
    ("Media Browser", "Retrieved photos"),
    ("Media Browser", "Merge trees"),
    ("Weave", None),
    ("Weave", None),
]


def test_workspace_has_its_panels_and_groups_runs_by_sweep():
    page = spec(build_workspace("lab", "chairs"))
    assert (page["entity"], page["project"]) == ("lab", "chairs")
    section = page["spec"]["section"]
    assert [view for bank in section["panelBankConfig"]["sections"] for view in views(bank["panels"])] == PANELS
    (runs,) = section["runSets"]
    assert [key["name"] for key in runs["grouping"]] == ["group", "system.value"]


def test_report_has_the_same_panels_a_group_for_each_system_over_its_seeds():
    page = spec(build_report("lab", "chairs"))
    assert page["project"] == {"name": "chairs", "entityName": "lab"}
    grids = [block["metadata"] for block in page["spec"]["blocks"] if block["type"] == "panel-grid"]
    assert [view for grid in grids for view in views(grid["panelBankSectionConfig"]["panels"])] == PANELS
    grouping = [[key["name"] for key in grid["runSets"][0]["grouping"]] for grid in grids]
    by_system = ["dataset.value", "system.value", "recipe.value"]  # not by seed: that is what is averaged
    assert grouping == [by_system, by_system, [], []]


def test_without_an_account_the_command_says_so_in_one_line(stranger, capsys):
    assert main(["dashboard", "--entity", "lab"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fgsbir: error: fgsbir dashboard: no W&B account; log in with `wandb login`")


def test_without_the_extra_the_command_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    assert main(["dashboard"]) == 2
    assert "pip install 'fgsbir[wandb]'" in capsys.readouterr().err


def test_a_refusal_is_one_line(monkeypatch):
    import wandb

    class Account:
        default_entity = "lab"

    def refuse(*_):
        raise ValueError("no such project\nwith details")

    monkeypatch.setattr(wandb, "Api", Account)
    monkeypatch.setattr("wandb_workspaces.workspaces.Workspace.save", refuse)
    with pytest.raises(Exception, match="'chairs': W&B says: no such project; check the names"):
        publish(None, "chairs")
