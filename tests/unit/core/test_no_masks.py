"""While a stage trains or makes labels, its processes cannot open a mask that the index knows."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click
import pytest

from wsss.core.errors import IntegrityError
from wsss.core.no_masks import STAGES, begin_without_masks, told, without_masks
from wsss.core.pool import WorkerPool
from wsss.data.index import Index, Record, write_index

ENDS = "stage distill opened a mask; training and label-making must not read masks"


def photo(name: str, mask: str | None) -> Record:
    return Record(name, "train", f"{name}.jpg", mask, (1,), 8, 8, "0" * 64)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set: masks in a folder, beside their photo, one like a formula, one that is a link, and a photo's own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("dataset: {root: data, format: folder}\n")
    records = [photo("a", "masks/a.png"), photo("b", "b.mask.png"), photo("c", "=c.png"), photo("d", "masks/d.png")]
    records += [photo("e", "e.jpg"), photo("f", None), photo("g", "masks/gone.png")]
    write_index(tmp_path / "artifacts/dataset", Index(("background", "cat"), tuple(records)))
    (tmp_path / "data/masks").mkdir(parents=True)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/0123").write_text("d")
    (tmp_path / "data/masks/d.png").symlink_to(tmp_path / "cache/0123")
    for name in (*(record.image for record in records), "masks/a.png", "b.mask.png", "=c.png", "masks/f.png", "a.png"):
        (tmp_path / "data" / name).write_text(name)
    return tmp_path / "data"


@contextmanager
def running(stage: str = "distill") -> Iterator[None]:
    """As within the command of a stage."""
    with click.Context(click.Command(stage)) as context:
        context.params["params"] = Path("params.yaml")
        with without_masks(stage, [Path("artifacts"), Path("artifacts/dataset")]):
            yield


def read_by_number(path: Path) -> bytes:
    number = os.open(path, os.O_RDONLY)
    try:
        return os.read(number, 10)
    finally:
        os.close(number)


OPENS: tuple[Callable[[Path], object], ...] = (
    Path.read_text,
    read_by_number,
    lambda path: Path(os.path.relpath(path)).read_bytes(),
    lambda path: Path(os.path.relpath(path)).open("rb", buffering=0).close(),
    lambda path: open(os.fsencode(path), "rb").close(),  # noqa: PTH123 -- by its bytes
)


@pytest.mark.parametrize("opens", OPENS)
@pytest.mark.parametrize("name", ["masks/a.png", "masks/../masks/a.png", "b.mask.png", "=c.png", "masks/d.png"])
def test_masks_of_the_index_are_closed_however_they_are_opened(
    data: Path, opens: Callable[[Path], object], name: str
) -> None:
    with running(), pytest.raises(IntegrityError, match=ENDS) as caught:
        opens(data / name)
    assert caught.value.where.endswith(Path(name).name)
    opens(data / name)


def test_links_do_not_help(data: Path, tmp_path: Path) -> None:
    (tmp_path / "other").symlink_to(data / "masks")
    (tmp_path / "copy.dat").symlink_to(data / "masks/a.png")
    (tmp_path / "twice.dat").symlink_to(tmp_path / "copy.dat")
    with running():
        for path in ("other/a.png", "copy.dat", "twice.dat", "cache/0123"):
            with pytest.raises(IntegrityError, match=ENDS):
                Path(path).read_text()


def test_everything_else_stays_open(data: Path) -> None:
    """Photos, also one that is its own mask or is called like a mask elsewhere; files that are no mask of the index."""
    with running():
        for name in ("a.jpg", "e.jpg", "f.jpg", "a.png", "masks/f.png", "../params.yaml"):
            (data / name).read_text()
        with pytest.raises(FileNotFoundError):
            (data / "nothing.png").read_text()
        with pytest.raises(ValueError, match="null"):
            Path("a\0b").read_text()
        os.close(os.dup(0))


@pytest.mark.parametrize("stage", ["index", "evaluate", "gallery", "import_masks"])
def test_stages_that_score_may(data: Path, stage: str) -> None:
    with running(stage):
        (data / "masks/a.png").read_text()
        assert not told()


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_that_trains_or_labels_says_its_name(data: Path, stage: str) -> None:
    with running(stage), pytest.raises(IntegrityError, match=f"stage {stage} opened a mask"):
        (data / "masks/a.png").read_text()


def test_an_index_that_cannot_be_read_is_left_to_the_stage(data: Path, tmp_path: Path) -> None:
    (tmp_path / "artifacts/dataset/index.csv").write_bytes(b"id,image\n\xff")
    with running():
        (data / "masks/a.png").read_text()


def test_lists_of_coco_are_masks_too(data: Path, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("dataset: {root: data, format: coco, tags: annotations}\n")
    (data / "annotations").mkdir()
    (data / "annotations/instances_val.json").write_text("{}")
    with running(), pytest.raises(IntegrityError, match=r"instances_val.json: stage distill opened"):
        (data / "annotations/instances_val.json").read_text()
    (tmp_path / "params.yaml").write_text("dataset: {root: data, format: coco, tags: annotations/instances_val.json}\n")
    with running(), pytest.raises(IntegrityError, match=r"instances_val.json: stage distill opened"):
        (data / "annotations/instances_val.json").read_text()


def test_worker_processes_are_told_once(data: Path) -> None:
    """Through their environment, or on another machine by what `told` says; a task carries nothing."""
    with running():
        text = told()
        pool = WorkerPool(1)
        with pytest.raises(IntegrityError, match=ENDS):
            pool.submit(Path.read_text, data / "masks/a.png").result()
        assert pool.submit(Path.read_text, data / "a.jpg").result() == "a.jpg"
        pool.stop()
    assert not told()
    for begins, closed in ((None, False), (partial(begin_without_masks, text), True)):
        pool = WorkerPool(1, begins)
        error = pool.submit(Path.read_text, data / "masks/a.png").exception()
        assert isinstance(error, IntegrityError) == closed
        pool.stop()


def test_a_worker_of_a_cluster_is_told_by_its_run(data: Path, tmp_path: Path) -> None:
    remote = pytest.importorskip("wsss.core.remote")
    with running():
        run = remote.Run("token", tmp_path / "desk", tmp_path, {}, told())
    pool = WorkerPool(1, partial(remote._begin, run))
    with pytest.raises(IntegrityError, match=ENDS):
        pool.submit(Path.read_text, data / "masks/a.png").result()
    pool.stop()


def test_a_stage_of_many_photos_hardly_notices(data: Path, tmp_path: Path) -> None:
    """An open of a photo takes some ten microseconds, and the guard one or two of it."""
    records = tuple(photo(f"{number:05}", f"masks/{number:05}.png") for number in range(10_000))
    write_index(tmp_path / "artifacts/dataset", Index(("background", "cat"), records))

    def seconds() -> float:
        begin = time.perf_counter()
        for _ in range(2000):
            (data / "a.jpg").open("rb").close()
        return time.perf_counter() - begin

    without = min(seconds() for _ in range(5))
    with running():
        assert len(told()) < 1000
        assert min(seconds() for _ in range(5)) < 3 * without
