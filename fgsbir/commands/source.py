"""`--source`: a dataset on the command line, its options in the help, and what is wrong with them in one line."""

from __future__ import annotations

import inspect
import re

from jsonargparse import ArgumentError, ArgumentParser, DefaultHelpFormatter

import fgsbir.data.datasets
from fgsbir.data.datasets import DataSource
from fgsbir.errors import InputError

_TITLE = "datasets and their options:"


class SourceFormatter(DefaultHelpFormatter):
    """Leaves the lines of the list of datasets as they are. A subcommand uses the formatter of its parent."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith(_TITLE) else super()._fill_text(text, width, indent)


def source_parser(description: str | None, prog: str | None = None, required: bool = False) -> ArgumentParser:
    """A parser with `--source`, whose help ends with the datasets and their options.

    Args:
        description: what the command does.
        prog: name of the command, if it is no subcommand.
        required: whether a dataset must be given.
    """
    parser = ArgumentParser(
        prog, description=description, epilog=_listed(), formatter_class=SourceFormatter, exit_on_error=False
    )
    text = "dataset, with options of its own, see below; --source.help NAME describes them"
    parser.add_argument("--source", type=DataSource, required=required, help=text)
    return parser


def refusal(command: str, error: ArgumentError) -> InputError:
    """What jsonargparse says of the options of a command, as one line."""
    message = " ".join(str(error).split())
    fix = f"see {command} --help"
    if lacking := re.search(r'key "source".*class_path \'[\w.]*?(\w+)\': .* required: ([\w, ]+\w)', message):
        needed = ", ".join(f"--source.{name}" for name in lacking[2].split(", "))
        return InputError(f"--source {lacking[1]}", f"it needs {needed}", fix)
    if odd := re.search(r'key "source".*class_path \'[\w.]*?(\w+)\': Option \'(\w+)\' is not accepted', message):
        return InputError(f"--source {odd[1]}", f"it has no option --source.{odd[2]}", fix)
    if unknown := re.search(r'key "source": Expected a dot import path string: (\S+)', message):
        return InputError("--source", f"there is no dataset '{unknown[1]}'", f"use one of {', '.join(_datasets())}")
    return InputError(command, message, fix)


def _datasets() -> dict[str, type[DataSource]]:
    """The datasets by name."""
    found = {name: getattr(fgsbir.data.datasets, name) for name in fgsbir.data.datasets.__all__}
    return {name: cls for name, cls in found.items() if issubclass(cls, DataSource) and not inspect.isabstract(cls)}


def _listed() -> str:
    """Each dataset with what it is and its options."""
    lines = [_TITLE]
    for name, dataset in _datasets().items():
        lines.append(f"  {name:<10}{(dataset.__doc__ or '').splitlines()[0]}")
        for option, parameter in inspect.signature(dataset).parameters.items():
            default = parameter.default
            needed = "required" if default is parameter.empty else f"default: {default}" if default is not None else ""
            lines.append(f"    {f'--source.{option} {option.upper()}':<56} {needed}".rstrip())
    own = "--source Folder --source.path my_photos [--source.pairs pairs.csv]"
    return "\n".join([*lines, "", "your own photos and sketches:", f"  {own}"])
