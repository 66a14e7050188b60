"""Few shards are open at a time: the one unused for longest is closed, and nothing is checked twice for that."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.helpers import IDS, running, toy_label, write_toy_store
from wsss.core.errors import IntegrityError
from wsss.core.stage import Stage
from wsss.stores import store as stores
from wsss.stores.labels import PseudoStore
from wsss.stores.open_shards import MOST, OpenShards


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of 20 labels in shards of 3."""
    monkeypatch.setenv("WSSS_WORKERS", "0")
    (tmp_path / "scratch").mkdir()
    write_toy_store(Stage("correct", "f" * 16, tmp_path / "scratch"), tmp_path / "out", tmp_path / "log")
    return tmp_path / "out"


def open_files(folder: Path) -> int:
    """Files of `folder` that this process has open."""
    return sum(
        str(link.readlink()).startswith(str(folder)) for link in Path("/proc/self/fd").iterdir() if link.exists()
    )


def test_the_oldest_is_closed_and_the_bound_is_never_passed(folder: Path) -> None:
    paths = sorted(folder.glob("*.h5"))
    shelf = OpenShards(most=2)

    def get(number: int) -> h5py.File:
        file = shelf.get(paths[number], lambda path: h5py.File(path, "r", locking=False), "")
        assert len(shelf) == open_files(folder) <= 2
        return file

    first, second = get(0), get(1)
    assert get(0) is first
    third = get(2)  # the second is the one unused for longest
    assert (bool(first), bool(second), bool(third)) == (True, False, True)
    assert get(1) is not second
    assert not first


def test_a_store_that_is_read_whole_has_few_files_open(folder: Path) -> None:
    store = PseudoStore(folder)
    for name in np.random.default_rng(0).permutation(3 * list(IDS)).tolist():
        assert np.array_equal(store.label(name), toy_label(name))
        assert open_files(folder) <= MOST
    assert len(list(folder.glob("*.h5"))) > MOST == open_files(folder)


def test_a_shard_is_checked_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    before = stores.open_checked

    def counted(path: Path, *arguments: object) -> h5py.File:
        checked.append(path.name)
        return before(path, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(stores, "open_checked", counted)
    store = PseudoStore(folder)
    for name in 3 * sorted(IDS):
        store.label(name)
    assert checked == sorted(path.name for path in folder.glob("*.h5"))


def test_a_shard_that_changed_since_is_checked_again(folder: Path) -> None:
    store, ids = PseudoStore(folder), sorted(IDS)
    for name in ids:
        store.label(name)
    path = folder / "00000.h5"  # closed by now
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b" ")
    os.utime(path, ns=(1, 1))  # whatever the clock's steps
    with pytest.raises(IntegrityError, match=r"differs from its checksum in index\.json"):
        store.label(ids[0])


def test_a_part_knows_its_photos_alone_and_shares_the_open_files(folder: Path) -> None:
    store, ids = PseudoStore(folder), sorted(IDS)
    part = store.part([ids[4], "nobody", ids[0]])
    assert type(part) is PseudoStore
    assert part.ids == (ids[0], ids[4])
    assert part.attributes == store.attributes
    for each in (store, part):
        assert np.array_equal(each.label(ids[0]), toy_label(ids[0]))
    assert open_files(folder) == 1
    assert len(store.ids) == len(IDS)


LIMITED = """
import resource
import h5py, numba, scipy, torch  # what a stage has open before it begins
from pathlib import Path

import numpy as np
from PIL import Image

from tests.helpers import CLASSES
from wsss.core.folders import publish, sha256_file
from wsss.core.stage import Stage
from wsss.correct.settings import CorrectSettings
from wsss.correct.stage import make_pseudo_labels, summarise
from wsss.data.index import Index, Record
from wsss.data.photos import Photos
from wsss.stores.cams import FORMAT, Cams, CamStore, put_cams
from wsss.stores.shards import StoreMeta, build_store, plan_shards, shard_writer

MOST = 48
resource.setrlimit(resource.RLIMIT_NOFILE, (MOST, MOST))


def cams_of(path, shard, meta):
    with shard_writer(path, shard, meta) as file:
        for name in shard.ids:
            put_cams(file, name, Cams(np.eye(4, dtype=np.float32)[None], np.ones(1), np.array([1]), (16, 16)))


here = Path()
Image.new("RGB", (16, 16)).save("x.png")
names = [f"{number:03}" for number in range(MOST)]
records = tuple(Record(name, "train", "x.png", None, (1,), 16, 16, sha256_file(here / "x.png")) for name in names)
meta = StoreMeta(FORMAT, CLASSES, {"scales": "1.0"})
publish(build_store(Stage("cams", "", here / "scratch-cams"), meta, plan_shards(names, 1), cams_of, ()), here / "cams")
cams, photos = CamStore(here / "cams"), Photos(here, 1.0, records)
settings = CorrectSettings.model_validate({"method": "gmm", "fixed": {"crf": None}, "gmm": {"crf": None}})
stage = Stage("correct", "", here / "scratch")
labels = make_pseudo_labels(stage, Index(CLASSES, records), photos, cams, settings, 1)
made = summarise(labels, photos, cams, 3)
assert made.tagged == (len(names), 0, 0)
for name in np.random.default_rng(0).permutation(names):
    labels.label(name), labels.confidence(name), cams.read(name)
"""


def test_a_stage_of_many_shards_runs_under_a_low_limit_of_open_files(tmp_path: Path) -> None:
    with running("-c", LIMITED, cwd=tmp_path, WSSS_WORKERS="0") as run:
        _, errors = run.communicate(timeout=300)
    assert run.returncode == 0, errors
