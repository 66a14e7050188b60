"""The photos of the tutorial: its mistakes are where the page says they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from manual import sixty

KNOWN = ("background", "building", "tree", "cow", "sheep", "aeroplane", "car", "flower", "dog")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A set in the layout of MSRC-v2, of small photos that show one class of its scene and one of none."""
    (tmp_path / "JPEGImages").mkdir()
    (tmp_path / "SegmentationClass").mkdir()
    (tmp_path / "classes.txt").write_text("\n".join(KNOWN) + "\n")
    lines = ["id,split,tags"]
    scene_of = {key: name[:-2] for name, key in sixty.ids().items()}
    scene_of |= {f"msrc_{key}": name for name, key in sixty.NEW.items()}
    for key, scene in scene_of.items():
        Image.new("RGB", (8, 6), (len(lines), 0, 0)).save(tmp_path / "JPEGImages" / f"{key}.jpg")
        mask = np.full((6, 8), KNOWN.index(scene), np.uint8)
        mask[0], mask[1] = 255, KNOWN.index("dog")
        Image.fromarray(mask).save(tmp_path / "SegmentationClass" / f"{key}.png")
        lines.append(f"{key},train,{scene}|dog")
    (tmp_path / "tags.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def call(*arguments: object) -> None:
    result = CliRunner().invoke(sixty.main, [str(each) for each in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def test_the_folder_of_the_tutorial(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my_photos"
    call(root, folder)
    assert len(list(folder.glob("*.jpg"))) == 60
    table = (folder / "tags.csv").read_text().splitlines()
    assert (table[0], table[52], table[61], len(table)) == (
        "filename,tags",
        "sheep04.jpg,shep",
        "sheep13.jpg,sheep",
        62,
    )
    assert table[1] == "aeroplane01.jpg,aeroplane"  # a class that is none of the seven is no tag
    whole = sixty.photo(root, sixty.ids()["cow07"]).read_bytes()
    assert whole.startswith((folder / "cow07.jpg").read_bytes())
    assert (folder / "cow07.jpg").read_bytes() != whole
    assert (folder / "sheep01.jpg").read_bytes() == (folder / "sheep07.jpg").read_bytes()

    call(root, folder, "--mend")
    assert (folder / "cow07.jpg").read_bytes() == whole

    call(root, folder, "--masks")
    with Image.open(folder / "masks" / "car03.png") as mask:
        assert mask.mode == "P"
        assert np.unique(np.asarray(mask)).tolist() == [0, sixty.CLASSES.index("car") + 1, 255]


def test_the_other_photos_are_none_of_the_sixty(root: Path, tmp_path: Path) -> None:
    call(root, tmp_path / "new", "--new")
    assert {path.stem for path in (tmp_path / "new").iterdir()} == set(sixty.NEW)
    assert not {f"msrc_{key}" for key in sixty.NEW.values()} & set(sixty.ids().values())
