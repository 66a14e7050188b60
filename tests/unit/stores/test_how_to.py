"""The code of docs/howto/hdf5.md runs as it stands, in one program and in either order; so does that of review.md."""

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.toy_runs import CLASSES, SHAPE, Toy, columns, write_run
from wsss.correct.labels import foreground_scores, upsample
from wsss.evaluation.confusion import Confusion
from wsss.evaluation.confusion import scores as scored
from wsss.evaluation.thresholds import ThresholdSweep
from wsss.stores.cams import FORMAT, Cams, CamStore, put_cams
from wsss.stores.shards import Shard, StoreMeta, shard_writer, write_store_index

PAGE, REVIEW = (Path(__file__).parents[3] / "docs/howto" / name for name in ("hdf5.md", "review.md"))
BLOCKS, COUNTS = (
    re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    for page in (PAGE, REVIEW)
)
NAME = "scene 1"


@pytest.fixture
def maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """A finished run as the working folder. The CAMs of its photo: (1, 3, 4), 1 on the right."""
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path, [Toy(NAME, columns(0, 1), None, columns(0, 255))])
    scores = np.repeat(np.array([[[0, 0, 1, 1]]], np.float32), 3, axis=1)
    folder, meta, shard = Path("artifacts/cams"), StoreMeta(FORMAT, CLASSES, {}), Shard("00000.h5", (NAME,))
    folder.mkdir()
    with shard_writer(folder / shard.name, shard, meta) as file:
        put_cams(file, NAME, Cams(scores, np.ones(1, np.float32), np.array([2]), SHAPE))
    write_store_index(folder, meta, [shard])
    return scores


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["file first", "readers first"])
def test_the_page_runs(maps: np.ndarray, order: tuple[int, int], capsys: pytest.CaptureFixture[str]) -> None:
    known: dict[str, Any] = {}
    assert len(BLOCKS) == 2
    for number in order:
        exec(compile(BLOCKS[number], str(PAGE), "exec"), known)
    assert capsys.readouterr().out == f"scene%201 {NAME} {SHAPE}\n"
    with h5py.File("artifacts/cams/00000.h5", "r", locking=False) as shard:  # a loop over any shard finds the ids
        assert [photo.attrs["id"] for photo in shard.values()] == [NAME]

    def value(text: str) -> Any:
        line = next(line for line in BLOCKS[1].splitlines() if line.startswith(text))
        return eval(line.partition("  #")[0], known)

    np.testing.assert_array_equal(value("found.scores"), maps)
    enlarged = value("upsample(")
    assert enlarged.shape == (1, *SHAPE)
    assert (enlarged[0, :, -1] == 1).all()
    assert (enlarged[0, :, 0] == 0).all()
    assert value("[cams.classes") == [CLASSES[2]]
    np.testing.assert_array_equal(value("labels.label"), columns(0, 255))
    confidence = value("labels.confidence")
    assert (confidence.dtype, confidence.shape) == (np.float32, SHAPE)
    assert value("encode_id") == "scene%201"
    np.testing.assert_array_equal(value("predictions.label"), columns(0, 1))


def test_scores_are_counted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the numbers of stage `evaluate`; also of a photo without tags, of a flat map, and of masks with 255."""
    monkeypatch.chdir(tmp_path)
    random, ids = np.random.default_rng(0), ("a/b", "c", "d", "e")
    masks = {name: random.choice(np.array([0, 0, 1, 2, 255], np.uint8), SHAPE) for name in ids[:3]}
    labels = {name: random.integers(0, 3, SHAPE, np.uint8) for name in ids}
    (tmp_path / "data/a").mkdir(parents=True)
    write_run(tmp_path, [Toy(name, labels[name] if name in masks else None, masks.get(name)) for name in ids])
    scores = {name: random.random((2, 3, 4), np.float32) for name in ids}
    scores["d"][1] = 0.5
    classes = {name: np.array([1, 2]) for name in ids} | {"c": np.zeros(0, np.int64)}
    meta, shard = StoreMeta(FORMAT, CLASSES, {}), Shard("00000.h5", ids)
    Path("artifacts/cams").mkdir()
    with shard_writer(Path("artifacts/cams") / shard.name, shard, meta) as file:
        for name in ids:
            maps = scores[name][: len(classes[name])]
            put_cams(file, name, Cams(maps, np.ones(len(maps), np.float32), classes[name], SHAPE))
    write_store_index(Path("artifacts/cams"), meta, [shard])
    sweep, final, store = ThresholdSweep(3), Confusion(3), CamStore(Path("artifacts/cams"))
    for name, mask in masks.items():
        found = foreground_scores(upsample(store.read(name).scores, SHAPE))
        sweep.update(mask, found, classes[name])
        final.update(mask, labels[name])
    known: dict[str, Any] = {}
    assert len(COUNTS) == 2
    for block in COUNTS:
        exec(compile(block.replace("data/demo", "data"), str(REVIEW), "exec"), known)
    expected = [scored(counts).miou for counts in (final.counts, sweep.at(27))]
    np.testing.assert_allclose([float(line) for line in capsys.readouterr().out.split()], expected, atol=0.00006)
