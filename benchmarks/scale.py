"""Row `scale`: the task of a shard among 10,000 or 100,000 photos against the same among 1,000; flat is the promise.

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
import pickle
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from click.testing import CliRunner
from PIL import Image

from benchmarks.overhead import overheads
from benchmarks.timing import Result, alternate
from pipeline import cams, correct, evaluate, index
from wsss.cams.stage import CamsSettings, dump_shard
from wsss.core.log import say
from wsss.correct.settings import CorrectSettings
from wsss.correct.stage import correct_shard
from wsss.data.images import save_mask_png
from wsss.data.index import Record, read_index
from wsss.data.inference import InferenceSettings
from wsss.data.photos import Photos
from wsss.models.backbones.registry import BackboneSettings
from wsss.models.checkpoint import NetworkCard, save_network
from wsss.models.oste import build_oste
from wsss.models.student import build_student
from wsss.stores.cams import FORMAT, CamStore
from wsss.stores.labels import PSEUDO_FORMAT
from wsss.stores.shards import StoreMeta, parts, plan_shards, write_store_index

FEWER, LARGE, SHARD, TIMES = 1000, (10_000, 100_000), 32, 9
"""Photos of the sets of the row, and of a shard; how often each task is measured."""
FEW = 96
"""Photos on which the start is measured."""
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
    """Tasks of `cams` and `correct`, from making one to the shard it has written, in turn on sets of three sizes."""
    results = []
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        draw_set(Path(), SHARD)
        run_stage("index")
        real = read_index(Path("artifacts/dataset")).records
        tasks = {photos: first_tasks(real, photos) for photos in (FEWER, *LARGE)}
        for stage in ("cams", "correct"):
            for photos in LARGE:
                ours, reference = tasks[photos][stage], tasks[FEWER][stage]
                timing = alternate(ours, reference, TIMES)
                what = f"a task of {stage} among {photos:,} photos: the same among {FEWER:,}"
                quality = {"ms_per_photo": 1000 * timing.ours_cpu / SHARD, "bytes_per_task": ours()}
                results.append(timing.row("scale", what, 1 / 1.05, quality, of_cpu=True))
    return results


def first_tasks(real: Sequence[Record], photos: int) -> dict[str, Callable[[], int]]:
    """By stage, a function that makes, sends and does the task of the first shard, which is that of the `real` photos,
    in a set that has so many, and returns the bytes that were sent. Of the other photos there are only the tables.
    """
    others = (replace(real[0], id=f"x{number:07}") for number in range(photos - len(real)))
    among = Photos(Path("photos"), 1.0, (*real, *others))
    shards = plan_shards([record.id for record in among.records], SHARD)
    store = Path(f"cams {photos}")
    store.mkdir()
    made = StoreMeta(FORMAT, ("background", *CLASSES), {"scales": "1.0", "raw": True})
    settings = CamsSettings(scales=(0.5, 1.0))

    def task_of(
        task: Callable[..., None], path: Path, meta: StoreMeta, arguments: tuple[Any, ...]
    ) -> Callable[[], int]:
        def send_and_do() -> int:
            sent = pickle.dumps((path, shards[0], meta, *parts(arguments, shards[0].ids)))
            task(*pickle.loads(sent))  # noqa: S301
            return len(sent)

        return send_and_do

    dump = task_of(
        dump_shard,
        store / shards[0].name,
        made,
        (among, Path("artifacts/oste.pt"), settings, InferenceSettings(), None),
    )
    dump()
    for shard in shards[1:]:
        (store / shard.name).touch()
    write_store_index(store, made, shards)
    fixed = CorrectSettings.model_validate({"method": "fixed", "fixed": {"crf": None}})
    labelled = StoreMeta(PSEUDO_FORMAT, made.classes, {"crf": False})
    label = task_of(correct_shard, Path(f"labels {photos}.h5"), labelled, (among, CamStore(store), fixed, None))
    return {"cams": dump, "correct": label}


def measured(*sizes: int) -> dict[str, list[dict[str, float]]]:
    """For each stage and size: `ms` of the processor a photo, `peak` MiB of a process, open `files` of a process."""
    runs: dict[int, list[dict[str, dict[str, float]]]] = {}
    for size in (FEW, *sizes, *reversed(sizes[:-1]), FEW):  # the machine's other work is the same on average
        with tempfile.TemporaryDirectory() as folder:
            runs.setdefault(size, []).append(stages_in(Path(folder) / "set", size))
    found: dict[str, list[dict[str, float]]] = {}
    for stage in STAGES:
        seconds = {size: statistics.fmean(run[stage]["seconds"] for run in made) for size, made in runs.items()}
        found[stage] = [
            {
                "ms": 1000 * (seconds[size] - seconds[FEW]) / (size - FEW),
                **{name: max(run[stage][name] for run in runs[size]) for name in ("peak", "files")},
            }
            for size in sizes
        ]
    return found


def stages_in(folder: Path, photos: int) -> dict[str, dict[str, float]]:
    """Make a set of so many photos in `folder`, and run each stage on it."""
    draw_set(folder, photos)
    found = {}
    for stage in STAGES:
        found[stage] = in_a_process("stage", stage, cwd=folder)
        say(f"{stage}, {photos} photos: " + ", ".join(f"{name} {value:.1f}" for name, value in found[stage].items()))
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
    """Run `work` in this process: `seconds` of the processor, `peak` MiB and open `files` of the greediest process.

    Files are counted twice a second.
    """
    ended, files = threading.Event(), 0

    def look() -> None:
        nonlocal files
        while not ended.wait(0.5):
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
