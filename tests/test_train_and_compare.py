"""The commands of docs/tutorials/train-and-compare.md, as that page has them, on tiny data."""

import re
from pathlib import Path

import pytest
from test_add_a_system import SMALL

from fgsbir.cli import main

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "tutorials" / "train-and-compare.md").read_text("utf-8")
TINY = [f"--{key.lstrip('-').replace('init_args.', '')}={str(value).lower()}" for key, value in SMALL.items()]

pytestmark = pytest.mark.slow


def first_commands():
    """The options of each command in the first block of the page."""
    block = re.search(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[1]
    return [line.split()[1:] for line in block.splitlines()]


def test_the_first_commands_end_in_a_report_of_both_systems(tmp_path, monkeypatch, capsys):
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    monkeypatch.chdir(tmp_path)
    baseline, proposed, report = first_commands()
    assert main([*baseline, *TINY]) == 0
    assert main([*proposed, *TINY]) == 0
    results = sorted(path.parts[2] for path in Path("runs").glob("embedded/*/*/result.json"))
    assert results == ["b_siamese", "proposed"]
    assert main(report) == 0
    table = Path("report/tables/embedded_chairs/modern/table1.md").read_text()
    for name in ("B-Siamese", "Proposed"):
        assert re.search(rf"^\| {name} \|.*\| 1 \|$", table, re.MULTILINE)

    capsys.readouterr()
    assert main([*baseline, *TINY]) == 0
    assert "done, nothing to do" in capsys.readouterr().out
