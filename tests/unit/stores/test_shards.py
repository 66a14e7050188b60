"""Stores: the same bytes however they are made, nothing lost, nothing damaged accepted."""

from __future__ import annotations

import errno
import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.helpers import CLASSES, IDS, computed, toy_label, tree, write_toy_store
from wsss.core.errors import EnvError, IntegrityError, UserError
from wsss.core.stage import Stage
from wsss.stores.labels import PSEUDO_FORMAT, PredictionStore, PseudoStore, put_labels
from wsss.stores.shards import Shard, StoreMeta, plan_shards, shard_size, shard_writer

SHARDS = [f"{n:05}.h5" for n in range(7)]


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_WORKERS", "0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "100 % mine"
    made.mkdir()
    return made


def stage(folder: Path, fingerprint: str = "f" * 16) -> Stage:
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    return Stage("correct", fingerprint, scratch)


def make(folder: Path, **options: object) -> Path:
    write_toy_store(stage(folder), folder / "out", folder / "log", **options)  # type: ignore[arg-type]
    return folder / "out"


def test_plan_depends_on_the_set_of_ids_alone() -> None:
    assert plan_shards(list(reversed("abcdefg")), 3) == [
        Shard("00000.h5", ("a", "b", "c")),
        Shard("00001.h5", ("d", "e", "f")),
        Shard("00002.h5", ("g",)),
    ]
    assert plan_shards([], 3) == []


@pytest.mark.parametrize(
    ("photos", "size"),
    [
        *((0, 4), (1, 4), (60, 4), (64, 4), (65, 5), (320, 20), (512, 32), (513, 32), (32_768, 32), (32_769, 33)),
        *((100_000, 98), (131_072, 128), (1_000_000, 128)),
    ],
)
def test_small_sets_have_small_shards_and_large_sets_few(photos: int, size: int) -> None:
    assert shard_size(photos) == size
    names = [f"{number:06}" for number in range(min(photos, 10_000))]
    assert plan_shards(names, 0) == plan_shards(names, shard_size(len(names)))


def test_what_was_written_is_read(folder: Path) -> None:
    store = PseudoStore(make(folder))
    assert sorted(tree(folder / "out")) == [*SHARDS, "index.json"]
    assert store.ids == tuple(sorted(IDS))
    assert store.classes == CLASSES
    assert store.attributes["crf"] is False
    for name in IDS:
        assert name in store
        assert np.array_equal(store.label(name), toy_label(name))
        assert store.confidence(name) == pytest.approx(0.5, abs=1 / 255)
    # What is published stays in scratch too, until the stage ends: a stage killed before that finds it again.
    assert tree(folder / "scratch" / "store") == tree(folder / "out")


def test_code_and_inputs_stand_nowhere_in_the_bytes(folder: Path) -> None:
    """Stages of other fingerprints that make the same arrays with the same settings: DVC has to see no difference."""
    other = folder / "other"
    other.mkdir()
    write_toy_store(stage(other, "0" * 16), other / "out", other / "log")
    assert tree(make(folder)) == tree(other / "out")


def test_written_twice_gives_the_same_bytes(folder: Path) -> None:
    first = tree(make(folder))
    again = tree(make(folder, ids=IDS[::-1]))
    assert first == again


def test_any_number_of_workers_gives_the_same_bytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = tree(make(folder))
    monkeypatch.setenv("WSSS_WORKERS", "2")
    assert tree(make(folder)) == first


def interrupt_after(folder: Path, shards: int) -> None:
    """Leave a stage's scratch folder as if it had been stopped after some shards."""
    whole = folder.parent / "whole"
    whole.mkdir()
    make(whole)
    store = folder / "scratch" / "store"
    store.mkdir(parents=True)
    for name in SHARDS[:shards]:
        (whole / "out" / name).rename(store / name)


def test_finished_shards_are_kept_and_not_made_again(folder: Path) -> None:
    interrupt_after(folder, 4)
    assert tree(make(folder)) == tree(make(folder.parent / "whole"))
    assert computed(folder / "log") == SHARDS[4:]


def test_complete_scratch_needs_no_work(folder: Path) -> None:
    interrupt_after(folder, 7)
    store = PseudoStore(make(folder))
    assert computed(folder / "log") == []
    assert np.array_equal(store.label(IDS[0]), toy_label(IDS[0]))


def flip_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    at = data.find(b"\x78\x5e")  # beginning of a deflated array
    data[at + 10] ^= 4
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other_photos(path: Path) -> None:
    path.write_bytes(path.with_name(SHARDS[2]).read_bytes())


@pytest.mark.parametrize("damage", [flip_middle, truncate, empty, other_photos])
def test_damaged_shard_in_scratch_is_made_again_with_a_warning(
    folder: Path, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    interrupt_after(folder, 7)
    damage(folder / "scratch" / "store" / SHARDS[1])
    before = tree(folder.parent / "whole" / "out")["index.json"]
    out = make(folder)
    assert computed(folder / "log") == [SHARDS[1]]
    assert tree(out)["index.json"] == before
    warning = capsys.readouterr().err
    assert warning.startswith(f"warning: {folder / 'scratch' / 'store' / SHARDS[1]}: ")
    assert "fix: none needed: the shard is made again" in warning


def test_what_a_killed_worker_left_is_not_published(folder: Path) -> None:
    interrupt_after(folder, 3)
    (folder / "scratch" / "store" / f".{SHARDS[3]}.4711.tmp").write_bytes(b"half a shard")
    assert sorted(tree(make(folder))) == [*SHARDS, "index.json"]


def test_failed_task_keeps_the_shards_before_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = 0

    def fail_at_the_eleventh(*arguments: object, **more: object) -> None:
        nonlocal labels
        labels += 1
        if labels == 11:
            raise UserError("photo", "is bad", "mend it")
        put_labels(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("tests.helpers.put_labels", fail_at_the_eleventh)
    with pytest.raises(UserError, match="is bad"):
        make(folder)
    assert sorted(tree(folder / "scratch" / "store")) == SHARDS[:3]
    assert not (folder / "out").exists()
    make(folder)
    assert computed(folder / "log") == SHARDS


def test_disk_full_in_mid_shard_keeps_what_is_finished(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = 0
    write = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        nonlocal written
        written += 1
        if written == 3:
            write(self, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(EnvError, match="disk full while writing"):
        make(folder)
    assert sorted(tree(folder / "scratch" / "store")) == SHARDS[:2]
    monkeypatch.undo()
    monkeypatch.setenv("WSSS_WORKERS", "0")
    make(folder)
    assert computed(folder / "log") == SHARDS


def test_shard_that_lacks_a_photo_never_appears(folder: Path) -> None:
    meta = StoreMeta(PSEUDO_FORMAT, CLASSES, {})
    with (
        pytest.raises(IntegrityError, match="holds 1 photos that differ from the 2 expected"),
        shard_writer(folder / "0.h5", Shard("0.h5", ("a", "b")), meta) as file,
    ):
        put_labels(file, "a", toy_label("a"), np.zeros((8, 12)))
    assert list(folder.iterdir()) == []


def test_file_in_the_place_of_the_store_is_not_replaced(folder: Path) -> None:
    (folder / "out").write_text("mine")
    with pytest.raises(UserError, match="is a file"):
        make(folder)
    assert (folder / "out").read_text() == "mine"
    assert len(tree(folder / "scratch" / "store")) == 8


def read_all(path: Path, ids: Sequence[str] = IDS) -> dict[str, bytes]:
    store = PseudoStore(path)
    store.expect_classes(CLASSES)
    return {name: store.label(name).tobytes() + store.confidence(name).tobytes() for name in ids}


@pytest.mark.parametrize("file", [SHARDS[0], "index.json"])
def test_no_flipped_bit_is_accepted_silently(folder: Path, file: str) -> None:
    path = make(folder) / file
    whole = path.read_bytes()
    ids = sorted(IDS)[:3] if file == SHARDS[0] else IDS
    before, attributes = read_all(folder / "out"), PseudoStore(folder / "out").attributes
    generator = np.random.default_rng(0)
    for bit in generator.choice(8 * len(whole), 300, replace=False).tolist():
        data = bytearray(whole)
        data[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(data)
        try:
            found = read_all(folder / "out", ids)
        except (IntegrityError, UserError):
            continue
        assert file == "index.json", bit  # where a flip may fall on white space
        assert (found, PseudoStore(folder / "out").attributes) == (before, attributes)


def test_flipped_or_cut_shards_in_scratch_never_crash(folder: Path) -> None:
    """Without a checksum from outside; what HDF5 itself finds must come as a message."""
    interrupt_after(folder, 1)
    whole = (folder / "scratch" / "store" / SHARDS[0]).read_bytes()
    generator = np.random.default_rng(1)
    for trial in range(60):
        path = folder / "scratch" / "store" / SHARDS[0]
        path.parent.mkdir(exist_ok=True)
        data = bytearray(whole)
        if trial % 3:
            for at in generator.integers(0, len(data), trial % 7 + 1):
                data[at] = generator.integers(256)
        else:
            del data[int(generator.integers(len(data))) :]
        path.write_bytes(data)
        make(folder, ids=sorted(IDS)[:3])
        assert len(read_all(folder / "out", sorted(IDS)[:3])) == 3


def test_missing_shard_and_missing_index_are_named(folder: Path) -> None:
    out = make(folder)
    (out / SHARDS[0]).unlink()
    with pytest.raises(UserError, match=r"00000\.h5: no such file\nfix: make it again: dvc repro -f -s correct"):
        PseudoStore(out).label(sorted(IDS)[0])
    (out / "index.json").unlink()
    with pytest.raises(UserError, match="no such file\nfix: run the stage that writes it: dvc repro correct"):
        PseudoStore(out)


def test_unknown_photo_is_named(folder: Path) -> None:
    store = PseudoStore(make(folder))
    fix = "correct the id; or, if the photo is new, make it again"
    with pytest.raises(UserError, match=f"no photo 'nobody' in this store\nfix: {fix}"):
        store.label("nobody")
    with pytest.raises(UserError, match=r"no photo 'set/b O%' in this store \(did you mean 'set/b .%'\?\)"):
        store.label("set/b O%")


def test_store_of_another_stage_is_refused(folder: Path) -> None:
    with pytest.raises(IntegrityError, match=r"found 'wsss\.pseudo' version 2, expected 'wsss\.predictions' version 2"):
        PredictionStore(make(folder))


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"format": 1, "version": 1}', "\xff"])
def test_index_that_is_none_is_refused(folder: Path, text: str) -> None:
    out = make(folder)
    (out / "index.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(IntegrityError, match="not the index of a store"):
        PseudoStore(out)


def test_edited_index_is_refused(folder: Path) -> None:
    path = make(folder) / "index.json"
    index = json.loads(path.read_text())
    del index["shards"][0]["ids"][0]  # a photo less to score
    path.write_text(json.dumps(index))
    with pytest.raises(IntegrityError, match="damaged or edited"):
        PseudoStore(path.parent)


def test_shard_edited_in_place_is_refused_although_it_is_whole(folder: Path) -> None:
    out = make(folder)
    with h5py.File(out / SHARDS[0], "a") as file:
        label = next(iter(file.values()))["label"]
        label[...] = 0
    with pytest.raises(IntegrityError, match=r"differs from its checksum in index\.json"):
        read_all(out)


def test_other_class_list_is_refused_with_the_difference(folder: Path) -> None:
    store = PseudoStore(make(folder))
    store.expect_classes(list(CLASSES))
    with pytest.raises(IntegrityError) as caught:
        store.expect_classes(("background", "cat", "cow", "dog"))
    assert "other class list (missing ['cow'], extra ['Kuh'], or another order)" in str(caught.value)
    with pytest.raises(IntegrityError, match="or another order"):
        store.expect_classes(("background", "cat", "Kuh", "dog"))


def test_open_store_travels_to_another_process(folder: Path) -> None:
    store = PseudoStore(make(folder))
    store.label(IDS[0])
    copy = pickle.loads(pickle.dumps(store))  # noqa: S301
    assert np.array_equal(copy.label(IDS[1]), toy_label(IDS[1]))


def test_shards_say_what_they_are_and_open_on_a_heat_map(folder: Path) -> None:
    out = make(folder)
    with h5py.File(out / SHARDS[0]) as file:
        assert dict(file.attrs)["format"] == "wsss.pseudo"
        assert json.loads(file.attrs["classes"]) == list(CLASSES)
        first = file[file.attrs["default"]]
        assert first[first.attrs["signal"]].shape == (8, 12)
        assert first.attrs["id"] == min(IDS)
