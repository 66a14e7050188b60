"""Row `scale`: what a photo costs among 10,000 against among 1,000; flat is the promise, also of memory and open files.

`python -m benchmarks.scale 1000 10000` runs the stages on sets of that many drawn photos of 96×72, with the tiny
backbone, and prints a table; `python -m benchmarks.scale overhead 100000` what a set of that size costs beside the work
on its photos. Both run under `ulimit -n 256`. Each measurement is a process. Seconds are those of the processor, of the
stage and of its one worker; what both need to start is measured on few photos, and left out.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from click.testing import CliRunner
from PIL import Image

from benchmarks.overhead import overheads
from benchmarks.timing import Result
from pipeline import cams, correct, evaluate, index
from wsss.data.images import save_mask_png
from wsss.models.backbones.registry import BackboneSettings
from wsss.models.checkpoint import NetworkCard, build_oste, build_student, save_network
from wsss.stores.labels import PSEUDO_FORMAT
from wsss.stores.shards import StoreMeta, write_store_index

FEW, REPEATS = 96, 3
"""Photos on which the start is measured, and how often that and the smallest set are."""
CLASSES = ("cat", "cow", "dog")
SIZE = (72, 96)
KINDS = 60
"""Drawn photos; the others are copies with another comment in the file, so that each has its own checksum."""
STAGES = {"index": index, "cams": cams, "correct": correct, "evaluate": evaluate}
TINY = BackboneSettings(name="tiny", output_stride=16, weights="random")
SECTIONS = {
    "seed": 0,
    "dataset": {"root": "photos", "format": "folder", "masks": "masks", "classes": "classes.txt", "long_side": 0},
    "inference": {},
    "cams": {"scales": [0.5, 1.0]},
    "correct": {"method": "fixed", "fixed": {"crf": "off"}},
    "evaluate": {"scales": [1.0], "crf": "off"},
}
HEADER = ("stage", "photos", "CPU ms a photo", "peak MiB of a process", "open files")


def run() -> list[Result]:
    """All stages on 1,000 and 10,000 photos."""
    return [
        Result(
            "scale",
            f"stage {stage}, a photo among 1,000",
            ten["ms"] / 1000,
            one["ms"] / 1000,
            one["ms"] / ten["ms"],
            1 / 1.05,
            {name: max(one[name], ten[name]) for name in ("peak", "files")},
        )
        for stage, (one, ten) in measured(1000, 10_000).items()
    ]


def measured(*sizes: int) -> dict[str, list[dict[str, float]]]:
    """For each stage and size: `ms` of the processor a photo, `peak` MiB of a process, open `files` of a process."""
    with tempfile.TemporaryDirectory() as folder:
        few = [stages_in(Path(folder) / f"few{n}", FEW) for n in range(REPEATS)]
        made = []
        for size in sizes:
            repeats = REPEATS if size == min(sizes) else 1
            made.append([stages_in(Path(folder) / f"{size}-{n}", size) for n in range(repeats)])
    found: dict[str, list[dict[str, float]]] = {stage: [] for stage in STAGES}
    for stage, rows in found.items():
        start = statistics.median(run[stage]["seconds"] for run in few)
        for size, runs in zip(sizes, made, strict=True):
            seconds = statistics.median(run[stage]["seconds"] for run in runs) - start
            most = {name: max(run[stage][name] for run in runs) for name in ("peak", "files")}
            rows.append({"ms": 1000 * seconds / (size - FEW), **most})
    return found


def stages_in(folder: Path, photos: int) -> dict[str, dict[str, float]]:
    """Make a set of so many photos in `folder`, run each stage on it, and delete it."""
    draw_set(folder, photos)
    found = {stage: in_a_process("stage", stage, cwd=folder) for stage in STAGES}
    shutil.rmtree(folder)
    return found


def in_a_process(*arguments: str, cwd: Path) -> Any:
    """What `python -m benchmarks.scale ARGUMENTS` prints as JSON."""
    path = os.pathsep.join([str(Path.cwd()), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "benchmarks.scale", *arguments]
    environment = {**os.environ, "PYTHONPATH": path, "WSSS_WORKERS": "1", "WSSS_DEVICE": "cpu"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def draw_set(folder: Path, photos: int) -> None:
    """Photos, masks, tags, every second photo in val, settings, and networks with random weights."""
    (folder / "photos" / "masks").mkdir(parents=True)
    rng, drawn = np.random.default_rng(0), []
    for kind in range(min(KINDS, photos)):
        stream = io.BytesIO()
        small = Image.fromarray(rng.integers(0, 256, (SIZE[0] // 8, SIZE[1] // 8, 3), np.uint8))
        small.resize(SIZE[::-1], Image.Resampling.BICUBIC).save(stream, "JPEG")
        tag = 1 + kind % len(CLASSES)
        mask = np.kron(rng.choice(np.array([0, tag], np.uint8), (9, 12)), np.ones((8, 8), np.uint8))
        save_mask_png(folder / f"{kind}.png", mask)
        drawn.append((stream.getvalue(), tag))
    rows = ["filename,tags,split"]
    for number in range(photos):
        (data, tag), name = drawn[number % KINDS], f"{number:07}"
        comment = name.encode()
        (folder / f"photos/{name}.jpg").write_bytes(
            data[:2] + b"\xff\xfe" + (2 + len(comment)).to_bytes(2, "big") + comment + data[2:]
        )
        (folder / f"photos/masks/{name}.png").hardlink_to(folder / f"{number % KINDS}.png")
        rows.append(f"{name}.jpg,{CLASSES[tag - 1]},{'val' if number % 2 else 'train'}")
    (folder / "photos/tags.csv").write_text("\n".join(rows) + "\n")
    (folder / "photos/classes.txt").write_text("\n".join(CLASSES) + "\n")
    (folder / "params.yaml").write_text(json.dumps(SECTIONS))
    (folder / "artifacts/relabelled").mkdir(parents=True)
    names = ("background", *CLASSES)
    meta = StoreMeta(PSEUDO_FORMAT, names, {"multiscale": False, "crf": False})
    write_store_index(folder / "artifacts/relabelled", meta, [])
    write_networks(folder / "artifacts", names)


def write_networks(folder: Path, names: tuple[str, ...]) -> None:
    """`oste.pt` and `distilled.pt`, tiny."""
    torch.manual_seed(0)
    parts = {"dropout": 0.0, "channels": 32, "norm": "batch"}
    card = NetworkCard("oste", TINY, {**parts, "expansion": {"enabled": False}, "fusion": {"channels": 32}}, names, "")
    save_network(folder / "oste.pt", build_oste(card, load_weights=False), card)
    card = NetworkCard("student", TINY, {"channels": 32, "dropout": 0.1}, names, "")
    save_network(folder / "distilled.pt", build_student(card, load_weights=False), card)


def measure(work: Callable[[], object]) -> dict[str, float]:
    """Run `work` in this process: `seconds` of the processor, `peak` MiB and open `files` of the greediest process."""
    ended, files = threading.Event(), 0

    def look() -> None:
        nonlocal files
        while not ended.wait(0.1):
            pids = [os.getpid(), *(child.pid for child in multiprocessing.active_children())]
            for pid in pids:
                try:
                    files = max(files, len(list(Path(f"/proc/{pid}/fd").iterdir())))
                except OSError:
                    continue  # it has ended

    watcher = threading.Thread(target=look)
    before = time.process_time()
    watcher.start()
    work()
    ended.set()
    watcher.join()
    for child in multiprocessing.active_children():
        child.join()
    own, workers = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    seconds = time.process_time() - before + workers.ru_utime + workers.ru_stime
    return {"seconds": seconds, "peak": max(own.ru_maxrss, workers.ru_maxrss) / 1024, "files": files}


def run_stage(stage: str) -> None:
    """Run a stage in the working folder, by its own script."""
    result = CliRunner().invoke(STAGES[stage].main, [])
    if result.exit_code:
        sys.exit(result.output)


def main(arguments: list[str]) -> None:
    """See the head of this file."""
    if arguments[0] == "stage":
        print(json.dumps(measure(lambda: run_stage(arguments[1]))))
    elif arguments[0] == "overhead-of":
        print(json.dumps(list(overheads(int(arguments[1])))))
    elif arguments[0] == "overhead":
        print("| what | photos | CPU s | peak MiB |\n|---|--:|--:|--:|")
        for photos in arguments[1:]:
            with tempfile.TemporaryDirectory() as folder:
                write_networks(Path(folder), ("background", *CLASSES))
                for what, seconds, peak in in_a_process("overhead-of", photos, cwd=Path(folder)):
                    print(f"| {what} | {int(photos):,} | {seconds:.1f} | {peak:.0f} |")
    else:
        print(f"| {' | '.join(HEADER)} |\n|---|--:|--:|--:|--:|")
        sizes = [int(argument) for argument in arguments]
        for stage, rows in measured(*sizes).items():
            for size, row in zip(sizes, rows, strict=True):
                print(f"| `{stage}` | {size:,} | {row['ms']:.1f} | {row['peak']:.0f} | {row['files']:.0f} |")


if __name__ == "__main__":
    main(sys.argv[1:])
