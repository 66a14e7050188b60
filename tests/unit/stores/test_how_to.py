"""The code of docs/howto/hdf5.md runs as it stands, in one program and in either order."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.toy_runs import CLASSES, SHAPE, Toy, columns, write_run
from wsss.stores.cams import FORMAT, Cams, put_cams
from wsss.stores.shards import Shard, StoreMeta, shard_writer, write_store_index

PAGE = Path(__file__).parents[3] / "docs/howto/hdf5.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
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
