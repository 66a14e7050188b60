"""`python -m tests.torture MINUTES`, or `--flips 2000 --files 50000`: kills, cuts, flipped bits and spoilt files.

Of `MINUTES` each kind gets a part; kinds can be asked for by their number instead.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click

from tests.torture.cuts import cut_once
from tests.torture.finished import finish
from tests.torture.flips import flip_once
from tests.torture.fuzz import fuzz_once
from tests.torture.kills import kill_once

SHARES = {"kills": 0.35, "cuts": 0.25, "flips": 0.2, "files": 0.2}
"""Of the time."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("minutes", type=float, default=0)
@click.argument("seed", type=int, default=0)
@click.option("--kills", type=int, default=0, help="so many stages are killed")
@click.option("--cuts", type=int, default=0, help="so many are cut at a call of the file system")
@click.option("--flips", type=int, default=0, help="so many bits are flipped")
@click.option("--files", type=int, default=0, help="so many files are spoilt")
def main(minutes: float, seed: int, **counts: int) -> None:
    """Print the figures, and each failure as it comes. Ends with 1 if there was one."""
    failed = 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        run = finish(folder / "run")
        works = {
            "kills": lambda rng: kill_once(run, folder / "killed", rng),
            "cuts": lambda rng: cut_once(run, folder / "cut", rng),
            "flips": lambda rng: flip_once(run, rng),
            "files": lambda rng: fuzz_once(folder, rng),
        }
        for name, work in works.items():
            done = wrong = 0
            for number in numbers(counts[name], 60 * minutes * SHARES[name]):
                problems = work(random.Random(f"{seed} {name} {number}"))
                for problem in problems:
                    click.echo(f"{name} {number}: {problem}")
                done, wrong = number + 1, wrong + bool(problems)
            if done:
                click.echo(f"{name}: {done - wrong} of {done} right (seed {seed})")
            failed += wrong
    sys.exit(1 if failed else 0)


def numbers(count: int, seconds: float) -> Iterator[int]:
    """0, 1, …: `count` of them, and more until `seconds` have passed."""
    end, number = time.monotonic() + seconds, 0
    while number < count or time.monotonic() < end:
        yield number
        number += 1


if __name__ == "__main__":
    main()
