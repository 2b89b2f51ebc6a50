"""What MkDocs does not do by itself: pages that lie outside `docs/`, links to them, and formulas without JavaScript."""

from __future__ import annotations

import os
import re
from html import unescape
from pathlib import PurePosixPath
from typing import Any

REPOSITORY = {
    "CHANGELOG.md": "repository/changelog.md",
    "CONTRIBUTING.md": "repository/contributing.md",
    "README.md": "index.md",
    "benchmarks/README.md": "repository/benchmarks.md",
    "experiments/README.md": "repository/experiments.md",
    "results/README.md": "repository/results.md",
}
"""Pages of the repository by their path in it, and where they stand on the site."""

LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?://|#)([^)#\s]+)(#[^)\s]*)?\)")
FORMULA = re.compile(r'<(div|span) class="arithmatex">\\[\[(](.*?)\\[\])]</\1>', re.DOTALL)


def moved_link(link: re.Match[str], source: str, page: str) -> str:
    """A link as it must read on the site; one to a file that is not on the site becomes its text.

    Args:
        link: A match of `LINK`.
        source: Path of the page in the repository, e.g. "docs/results.md".
        page: Path of the page on the site, e.g. "results.md".
    """
    image, text, target, anchor = link[1], link[2], link[3], link[4] or ""
    path = os.path.normpath(PurePosixPath(source).parent / target)
    if path in REPOSITORY:
        where = REPOSITORY[path]
    elif path.startswith("docs/"):
        where = path.removeprefix("docs/")
    else:
        return text
    return f"{image}[{text}]({os.path.relpath(where, PurePosixPath(page).parent)}{anchor})"


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages of the repository, except the README: the site has a start page of its own."""
    from mkdocs.structure.files import File

    root = os.path.dirname(config.config_file_path)
    for source, page in REPOSITORY.items():
        if source != "README.md":
            files.append(File.generated(config, page, abs_src_path=os.path.join(root, source)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Points relative links at the site."""
    name = page.file.src_uri
    source = next((path for path, where in REPOSITORY.items() if where == name != "index.md"), f"docs/{name}")
    return LINK.sub(lambda link: moved_link(link, source, name), markdown)


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """Turns formulas into MathML, which browsers draw by themselves."""
    from latex2mathml.converter import convert

    def mathml(formula: re.Match[str]) -> str:
        return str(convert(unescape(formula[2]).strip(), display="block" if formula[1] == "div" else "inline"))

    return FORMULA.sub(mathml, html)
