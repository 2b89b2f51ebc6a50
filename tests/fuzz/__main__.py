"""Damages files of every format and reads them: `make fuzz`, or `PYTHONPATH=tests python -m fuzz [options]`.

Ends with status 1 if a reader raises anything but an `InputError` of one line, crashes, or takes more than two seconds
or a gigabyte. Each file depends on the seed, its format and its number alone, so `--seed` and `--only` make it again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fuzz.run import fuzz
from fuzz.seeds import kinds


def main() -> int:
    """Runs it."""
    known = kinds()
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="seed of all files; default: 0")
    parser.add_argument("--count", type=int, default=10_000, help="number of files; default: 10000")
    parser.add_argument(
        "--only", action="append", choices=list(known), metavar="FORMAT", help=f"of: {', '.join(known)}"
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="folder for the files that fail")
    options = parser.parse_args()
    chosen = {name: known[name] for name in options.only or known}
    print(f"seed {options.seed}, {options.count} files of {len(chosen)} formats", flush=True)
    tallies = fuzz(chosen, options.seed, options.count, options.keep)
    print(f"{'':<14}{'files':>7}{'read':>7}{'refused':>9}{'failed':>8}{'slowest':>10}{'memory':>10}")
    for name, tally in tallies.items():
        slowest, memory = f"{tally.slowest:.2f} s", f"{tally.memory / 2**20:.0f} MiB"
        print(
            f"{name:<14}{tally.files:>7}{tally.read:>7}{tally.refused:>9}{len(tally.failures):>8}"
            f"{slowest:>10}{memory:>10}"
        )
    failures = sum(len(tally.failures) for tally in tallies.values())
    print(f"{options.count} files, {failures} failures, seed {options.seed}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
