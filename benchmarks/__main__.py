"""`make bench`: measure, print and write benchmarks/results.json; `python -m benchmarks cam crf` measures some rows."""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
from pathlib import Path

from benchmarks.timing import machine
from wsss.core.atomic import write_text
from wsss.core.log import say

RESULTS = Path(__file__).parent / "results.json"
SCRIPTS = ("confusion", "crf", "energy", "gmm", "heap", "half", "step", "cam", "scale")


def main(wanted: list[str]) -> None:
    """Measure one script after the other; what the others have measured before stays in the file."""
    if unknown := [name for name in wanted if name not in SCRIPTS]:
        sys.exit(f"benchmarks: no row {unknown[0]!r}; there are {', '.join(SCRIPTS)}")
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    for script in wanted or SCRIPTS:
        rows = [
            dataclasses.asdict(row) | {"machine": machine()}
            for row in importlib.import_module(f"benchmarks.{script}").run()
        ]
        for row in rows:
            verdict = "met" if row["ratio"] >= row["target"] else "missed"
            say(
                f"{row['row']:<10} ratio {row['ratio']:8.2f}  target {row['target']:6.2f} {verdict:<7} {row['quality']}"
            )
        names = {row["row"] for row in rows}
        known = [row for row in known if row["row"] not in names] + rows
        write_text(RESULTS, json.dumps(known, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
