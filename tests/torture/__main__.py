"""`python -m tests.torture MINUTES`, or counts: `--kills 200 --flips 2000`. A seed makes each case anew."""

from __future__ import annotations

import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import click

from tests.torture.cuts import cut_once
from tests.torture.finished import finish
from tests.torture.flips import flip_once
from tests.torture.fuzz import fuzz_once
from tests.torture.kills import kill_once
from tests.torture.races import race_once
from tests.torture.signals import signal_once

SHARES = {"signals": 0.1, "kills": 0.25, "cuts": 0.2, "races": 0.2, "flips": 0.1, "files": 0.15}
"""Of the minutes."""
TELL = 60.0
"""Seconds between two lines of progress."""
Work = Callable[[random.Random], list[str]]


@click.command(params=[click.Option([f"--{name}"], type=int, default=0, help="how many") for name in SHARES])
@click.argument("minutes", type=float, default=0.0)
@click.option("--seed", type=int, default=0)
@click.option("--first", type=int, default=0, help="number of the first case: a failure alone is --KIND 1 --first N")
def main(minutes: float, seed: int, first: int, **counts: int) -> None:
    """Damage a finished run for MINUTES, or as many times as is said for a kind. Prints failures as they come, and the
    figures.
    """
    if not minutes and not any(counts.values()):
        raise click.UsageError("say for how many minutes, or how many times: --kills 200")
    failed = 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        run = finish(folder / "run")
        works: dict[str, Work] = {
            "signals": lambda rng: signal_once(run, folder / "signalled", rng),
            "kills": lambda rng: kill_once(run, folder / "killed", rng),
            "cuts": lambda rng: cut_once(run, folder / "cut", rng),
            "races": lambda rng: race_once(run, folder / "raced", rng),
            "flips": lambda rng: flip_once(run, rng),
            "files": lambda rng: fuzz_once(folder, rng),
        }
        for name, work in works.items():
            if counts[name] or minutes:
                failed += torment(name, work, seed, first, counts[name] or None, 60 * minutes * SHARES[name])
    sys.exit(1 if failed else 0)


def torment(name: str, work: Work, seed: int, first: int, count: int | None, seconds: float) -> int:
    """Do `work` `count` times from case number `first` on, or for so many `seconds`. Returns how often it was wrong."""
    begun = told = time.monotonic()
    done = wrong = 0
    while done < count if count is not None else time.monotonic() < begun + seconds:
        number = first + done
        try:
            problems = work(random.Random(f"{seed} {name} {number}"))
        except Exception:
            problems = [traceback.format_exc()[-600:]]
        for problem in problems:
            click.echo(f"{name} {number}: {problem}")
        if problems:
            click.echo(f"again: python -m tests.torture --{name} 1 --first {number} --seed {seed}")
        done, wrong = done + 1, wrong + bool(problems)
        if time.monotonic() > told + TELL:
            told = time.monotonic()
            click.echo(f"… {name}: {done - wrong} of {done} right so far")
    click.echo(f"{name}: {done - wrong} of {done} right (seed {seed}, {time.monotonic() - begun:.0f} s)")
    return wrong


if __name__ == "__main__":
    main()
