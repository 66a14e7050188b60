"""One day of a GPU in one script: facts, every stage against the CPU, training steps, photos a second, the whole chain.

`python -m benchmarks.device --out FOLDER` needs this checkout and its Python packages, and neither DVC nor a network.
Each row is printed and written to `FOLDER/device.jsonl` as it ends, so that a run that is cut off keeps its rows; what
the stages say is in `FOLDER/stages.log`, and nothing else is left there. A row for which too little time is left is
skipped, and says so. A second run adds its rows: `--only` chooses those that are missing.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click

from benchmarks import LOG

Row = dict[str, Any]
ROWS = ("smoke", "step", "rates", "chain")
LONGEST_ERROR = 600
"""Letters of an error in a row; its end says most."""


class OutOfTime(BaseException):
    """The minutes are over. No `Exception`: nothing on the way takes it for an error of its own."""


class Day:
    """Rows on the way to a file in `out`, and the time that is left."""

    def __init__(self, out: Path, seconds: float) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.file = out / "device.jsonl"
        self.begin, self.seconds = time.monotonic(), seconds

    def left(self) -> float:
        """Seconds; below 0 when they are over."""
        return self.seconds - (time.monotonic() - self.begin)

    def write(self, row: Mapping[str, Any]) -> None:
        """Print the row and append it to the file, on the disk before anything else is done."""
        line = json.dumps({**row, "at_s": round(self.seconds - self.left(), 1)}, default=str)
        print(line, flush=True)
        with self.file.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())

    def rows(self, name: str, needs: float, work: Callable[[], Iterator[Row]]) -> list[Row]:
        """Do the `work` if `needs` seconds are left. Returns its rows, which are written one by one, as they come.

        An error is a row, too, and the day goes on.
        """
        made: list[Row] = []
        if self.left() < needs:
            self.write({"row": name, "skipped": f"{max(0.0, self.left()):.0f} s left, needs {needs:.0f}"})
            return made
        begin = time.monotonic()
        try:
            for row in work():
                made.append({"row": name, **row, "seconds": round(time.monotonic() - begin, 2)})
                self.write(made[-1])
                begin = time.monotonic()
        except OutOfTime:
            self.write({"row": name, "error": "out of time"})
        except (Exception, SystemExit) as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__}: {error}"[-LONGEST_ERROR:]
            self.write({"row": name, "error": what, "where": f"{Path(where.filename).name}:{where.lineno}"})
        return made


@contextmanager
def ending(seconds: float) -> Iterator[None]:
    """While inside, `OutOfTime` is raised when the time is over."""

    def over(number: int, frame: FrameType | None) -> NoReturn:
        raise OutOfTime

    previous = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def run(day: Day, work: Path, only: Collection[str], toy: bool, photos: Path | None, where: str) -> None:
    """The facts and the rows of `only`, the cheap and telling ones first. Stages run in folders of `work`.

    `where`: the device, as `WSSS_DEVICE` names it.
    """
    # Here and not above: a package that is missing costs the rows that need it.
    peak: float | None = None

    def facts() -> Iterator[Row]:
        from benchmarks.steps import facts

        yield facts(where, toy)

    def smoke() -> Iterator[Row]:
        from benchmarks.smoke import compare_stages

        yield from compare_stages(work / "smoke", where, toy)

    def step(backbone: str, crop: int, layout: str) -> Callable[[], Iterator[Row]]:
        def measure() -> Iterator[Row]:
            from benchmarks.steps import training_step

            yield training_step(backbone, crop, layout, peak, where, toy)

        return measure

    def rates() -> Iterator[Row]:
        from benchmarks.chain import rates

        yield from rates(work / "rates", where, photos, toy)

    def chain(seed: int) -> Callable[[], Iterator[Row]]:
        def measure() -> Iterator[Row]:
            from benchmarks.chain import chain

            yield from chain(work / f"chain{seed}", where, photos, seed, toy)

        return measure

    for row in day.rows("facts", 5, facts):
        peak = row["bf16_matmul_tflops"] * 1e12
    if "smoke" in only:
        day.rows("smoke", 60, smoke)
    networks = ("tiny",) if toy else ("efficientnet_lite0", "resnet38d", "vit_b16")
    for backbone in networks if "step" in only else ():
        for crop in (64,) if toy else (320, 448):
            for layout in ("contiguous", "channels_last"):
                day.rows("step", 15, step(backbone, crop, layout))
    if "rates" in only:
        day.rows("rates", 45, rates)
    longest = 60.0
    for seed in range(1 if toy else 3) if "chain" in only else ():
        begin = time.monotonic()
        day.rows("chain", longest, chain(seed))
        longest = max(longest, 1.1 * (time.monotonic() - begin))


@click.command(help=__doc__)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="folder of the rows")
@click.option("--minutes", type=click.FloatRange(min=0), default=8.0, show_default=True, help="when to end")
@click.option("--only", type=click.Choice(ROWS), multiple=True, help="rows beside the facts, by default all; repeat it")
@click.option("--toy", is_flag=True, help="tiny networks and photos: does the script work? Its figures mean nothing")
@click.option(
    "--photos",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="MSRC-v2 in VOC layout, for rates and chain; without it, drawn scenes",
)
def main(out: Path, minutes: float, only: tuple[str, ...], toy: bool, photos: Path | None) -> None:
    day = Day(out.absolute(), 60 * minutes)
    where = os.environ.get("WSSS_DEVICE", "auto")
    found = None if photos is None else photos.absolute()
    try:
        with ending(60 * minutes), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as work:
            (Path(work) / LOG).symlink_to(day.file.with_name(LOG))  # a run that is killed leaves what its stages said
            run(day, Path(work), only or ROWS, toy, found, where)
    except OutOfTime:
        day.write({"row": "end", "error": "out of time between two rows"})
        sys.exit(0)
    day.write({"row": "end", "left_s": round(day.left(), 1)})


if __name__ == "__main__":
    main()
