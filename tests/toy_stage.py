"""A guarded stage to be killed: twenty labels in shards of three, as `python toy_stage.py OUT LOG SECONDS`."""

from __future__ import annotations

from pathlib import Path

import click

from tests.helpers import write_toy_store
from wsss.core.stage import open_stage, stage_command


@stage_command
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("log", type=click.Path(path_type=Path))
@click.argument("seconds", type=float)
def main(params: Path, out: Path, log: Path, seconds: float) -> str:
    """Write the toy store, `seconds` a photo."""
    with open_stage("correct", {}, [], folders=[out]) as stage:
        write_toy_store(stage, out, log, seconds)
    return f"toy: done → {out}"


if __name__ == "__main__":
    main()
