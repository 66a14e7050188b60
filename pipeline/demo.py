"""Stage `demo`: a seed → the embedded data set."""

from __future__ import annotations

from pathlib import Path

import click

from wsss.core.folders import atomic_dir
from wsss.core.log import Progress
from wsss.core.params import Seed, Settings, load
from wsss.core.stage import open_stage, stage_command
from wsss.demo.write import DemoSettings, write_demo


class Params(Settings):
    """What this stage reads of params.yaml."""

    seed: Seed
    demo: DemoSettings


@stage_command
@click.option("--out", type=click.Path(path_type=Path), default="data/demo")
def main(params: Path, out: Path) -> str:
    """Draw the demo data set."""
    settings = load(params, Params)
    total = settings.demo.train + settings.demo.val
    with (
        open_stage("demo", settings.model_dump(), [], folders=[out]),
        atomic_dir(out) as folder,
        Progress("demo", total, "scenes") as progress,
    ):
        write_demo(folder, settings.seed, settings.demo, progress.advance)
    return f"demo: {settings.demo.train} train and {settings.demo.val} val scenes → {out}"


if __name__ == "__main__":
    main()
