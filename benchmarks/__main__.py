"""`make bench`: run all rows, write benchmarks/results.json and print the table."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from benchmarks import cam, confusion, crf, energy, gmm
from benchmarks.timing import Result, machine
from wsss.core.atomic import write_text
from wsss.core.log import say

RESULTS = Path(__file__).parent / "results.json"


def main() -> None:
    """Measure, one row after the other."""
    results: list[Result] = []
    for run in (confusion.run, crf.run, energy.run, gmm.run, cam.run):
        for row in run():
            result = dataclasses.replace(row, machine=machine())
            results.append(result)
            verdict = "met" if result.ratio >= result.target else "missed"
            say(
                f"{result.row:<10} ratio {result.ratio:8.2f}  target {result.target:6.1f} {verdict:<7} {result.quality}"
            )
    write_text(RESULTS, json.dumps([dataclasses.asdict(result) for result in results], indent=2) + "\n")


if __name__ == "__main__":
    main()
