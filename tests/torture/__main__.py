"""`python -m tests.torture MINUTES [SEED]`: kills, cuts, flipped bits and spoilt files, each for a part of the time."""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

import click

from tests.torture.cuts import cut_once
from tests.torture.finished import finish
from tests.torture.flips import flip_once
from tests.torture.fuzz import fuzz_once
from tests.torture.kills import kill_once

SHARES = {"kills": 0.35, "cuts": 0.25, "flips": 0.2, "spoilt files": 0.2}
"""Of the time."""


def main(minutes: float, seed: int) -> int:
    """Print the figures, and each failure as it comes. Returns 1 if there was one."""
    failed = 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        run = finish(folder / "run")
        works = {
            "kills": lambda rng: kill_once(run, folder / "killed", rng),
            "cuts": lambda rng: cut_once(run, folder / "cut", rng),
            "flips": lambda rng: flip_once(run, rng),
            "spoilt files": lambda rng: fuzz_once(folder, rng),
        }
        for name, work in works.items():
            end, count, wrong = time.monotonic() + 60 * minutes * SHARES[name], 0, 0
            while time.monotonic() < end:
                problems = work(random.Random(f"{seed} {name} {count}"))
                for problem in problems:
                    click.echo(f"{name} {count}: {problem}")
                count, wrong = count + 1, wrong + bool(problems)
            click.echo(f"{name}: {count - wrong} of {count} right (seed {seed})")
            failed += wrong
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
