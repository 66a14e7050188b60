"""The demo set: the same bytes from the same seed, exact masks, and scenes that are hard in the intended ways."""

from __future__ import annotations

import csv
import hashlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from scipy import ndimage

from wsss.data.images import voc_palette
from wsss.demo import scene as scene_module
from wsss.demo.backgrounds import PLACES, Backdrop, draw_backdrop
from wsss.demo.canvas import Window, fill
from wsss.demo.coat import draw_coat
from wsss.demo.geometry import ellipse, extent, points
from wsss.demo.objects import CLASSES, KINDS, Kind
from wsss.demo.scene import MIN_AREA, Scene, draw_scene
from wsss.demo.write import DemoSettings, write_demo

REPO = Path(__file__).parents[3]
SIZE = 160
SMALL = DemoSettings(train=9, val=4, size=64)


@dataclass(frozen=True)
class Drawn:
    """The default train set, and the place in which each scene is set."""

    scenes: list[Scene]
    places: list[str]


@pytest.fixture(scope="module")
def drawn() -> Iterator[Drawn]:
    places: list[str] = []

    def note(rng: np.random.Generator, place: str, height: int, width: int) -> Backdrop:
        places.append(place)
        return draw_backdrop(rng, place, height, width)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scene_module, "draw_backdrop", note)
        yield Drawn([draw_scene(0, index, SIZE) for index in range(200)], places)


def written(out: Path, seed: int = 0, settings: DemoSettings = SMALL) -> dict[str, bytes]:
    out.mkdir()
    write_demo(out, seed, settings, lambda: None)
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_types_and_sizes(drawn: Drawn) -> None:
    shapes = set()
    for scene in drawn.scenes:
        assert scene.image.dtype == scene.mask.dtype == np.uint8
        assert scene.image.shape == (*scene.mask.shape, 3)
        assert max(scene.mask.shape) == SIZE
        assert min(scene.mask.shape) >= 0.75 * SIZE
        shapes.add(scene.mask.shape)
    assert len(shapes) > 30
    assert any(height > width for height, width in shapes)
    assert any(height < width for height, width in shapes)


def test_tags_are_the_classes_of_the_mask(drawn: Drawn) -> None:
    for scene in drawn.scenes:
        assert scene.tags == tuple(CLASSES[label - 1] for label in np.unique(scene.mask) if label)
        assert 1 <= len(scene.tags) <= 3


def test_no_class_is_too_small_to_see(drawn: Drawn) -> None:
    for scene in drawn.scenes:
        areas = np.bincount(scene.mask.ravel())
        assert areas[areas > 0].min() >= MIN_AREA * scene.mask.size
        assert areas[0] > 0.2 * scene.mask.size


def test_sizes_of_objects_vary_fourfold(drawn: Drawn) -> None:
    lone = [float((scene.mask > 0).mean()) for scene in drawn.scenes if len(scene.tags) == 1]
    small, large = np.sqrt(np.percentile(lone, (3, 97)))
    assert large / small > 3


def test_every_class_is_frequent_and_none_is_everywhere(drawn: Drawn) -> None:
    counts = Counter(tag for scene in drawn.scenes for tag in scene.tags)
    assert len(CLASSES) == 8
    for name in CLASSES:
        assert 0.15 <= counts[name] / len(drawn.scenes) <= 0.35


def test_several_tags_are_common(drawn: Drawn) -> None:
    counts = Counter(len(scene.tags) for scene in drawn.scenes)
    assert counts[1] > counts[3]
    assert counts[2] > 0.25 * len(drawn.scenes)
    assert counts[3] > 0.04 * len(drawn.scenes)


@pytest.mark.parametrize(
    ("name", "homes"),
    [
        ("cow", {"meadow", "hills"}),
        ("boat", {"sea", "coast"}),
        ("car", {"street"}),
        ("fish", {"reef"}),
        ("bird", {"sky", "sea"}),
    ],
)
def test_classes_keep_to_their_places_but_not_always(drawn: Drawn, name: str, homes: set[str]) -> None:
    seen = [place for scene, place in zip(drawn.scenes, drawn.places, strict=True) if name in scene.tags]
    at_home = sum(place in homes for place in seen) / len(seen)
    assert 0.5 <= at_home <= 0.95
    # Nor does the place give the class away: every place is seen without it, too.
    assert homes <= {place for scene, place in zip(drawn.scenes, drawn.places, strict=True) if name not in scene.tags}


def test_places_of_each_class_are_probabilities() -> None:
    for kind in KINDS:
        assert set(kind.places) <= set(PLACES)
        assert sum(kind.places.values()) == pytest.approx(1)
        assert max(kind.places.values()) < 0.9


def test_masks_follow_the_picture(drawn: Drawn) -> None:
    """Contrast across the outline of a mask is much stronger than across the same outline moved aside."""
    on, off = [], []
    for scene in drawn.scenes[:40]:
        picture = scene.image.astype(np.float32).mean(2)
        contrast = np.hypot(ndimage.sobel(picture, 0), ndimage.sobel(picture, 1))
        inside = scene.mask > 0
        edge = inside ^ ndimage.binary_erosion(inside)
        on.append(contrast[edge].mean())
        off.append(contrast[np.roll(edge, (7, 7), (0, 1))].mean())
    assert np.mean(on) > 1.7 * np.mean(off)


def test_fill_neither_shifts_nor_cuts() -> None:
    """Disks anywhere on the grid: no bias in position, and an outline right to 0.2 pixels."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:32, :32] + 0.5
    shifts, growth = [], []
    for _ in range(100):
        radius, center = float(rng.uniform(3, 12)), rng.uniform(14, 18, 2)
        cover = fill([ellipse(center[0], center[1], radius, radius, n=60)], Window(0, 0, 32, 32))
        shifts.append(np.array(((cover * x).sum(), (cover * y).sum())) / cover.sum() - center)
        growth.append((cover.sum() - np.pi * radius**2) / (2 * np.pi * radius))
    np.testing.assert_allclose(np.mean(shifts, axis=0), 0, atol=0.02)
    assert np.abs(growth).max() < 0.2


def test_a_window_shows_what_the_whole_shows() -> None:
    """But for its outermost pixels, where Pillow cuts outlines off a little differently."""
    triangle = [points((1.3, 2.1), (17.2, 6.6), (5.5, 18.9))]
    whole = fill(triangle, Window(0, 0, 20, 20))
    part = fill(triangle, Window(4, 3, 15, 12))
    np.testing.assert_array_equal(part[1:-1, 1:-1], whole[5:14, 4:11])


@pytest.mark.parametrize("kind", KINDS, ids=CLASSES)
def test_figures_are_articulated(kind: Kind) -> None:
    """A large body, smaller parts, and no two instances of one shape."""
    for pose in kind.poses:
        spans = set()
        for seed in range(5):
            rng = np.random.default_rng(seed)
            figure = pose.draw(rng, draw_coat(rng))
            assert {part.role for part in figure} == {"body", "part"}
            spans.add(tuple(np.round(extent(figure), 6)))
        assert len(spans) == 5


def test_same_seed_same_scene_in_any_order() -> None:
    first = {index: draw_scene(5, index, 96) for index in (0, 3, 9)}
    for index in (9, 0, 3):
        again = draw_scene(5, index, 96)
        np.testing.assert_array_equal(again.image, first[index].image)
        np.testing.assert_array_equal(again.mask, first[index].mask)
        assert again.tags == first[index].tags


def test_other_seeds_and_other_numbers_give_other_scenes() -> None:
    pictures = {draw_scene(seed, index, 96).image.tobytes() for seed in range(3) for index in (0, 8, 16)}
    assert len(pictures) == 9


@pytest.mark.parametrize("size", [48, 240])
def test_other_sizes(size: int) -> None:
    for index in range(24 if size < 100 else 8):
        scene = draw_scene(2, index, size)
        assert max(scene.mask.shape) == size
        assert scene.tags


def test_same_bytes_twice(tmp_path: Path) -> None:
    assert written(tmp_path / "a") == written(tmp_path / "b")


@pytest.mark.parametrize("hash_seed", ["1", "77"])
def test_same_bytes_in_another_process(tmp_path: Path, hash_seed: str) -> None:
    code = (
        "import pathlib, sys; from wsss.demo.write import DemoSettings, write_demo; "
        f"write_demo(pathlib.Path(sys.argv[1]), 0, DemoSettings(**{SMALL.model_dump()}), lambda: None)"
    )
    other = tmp_path / "other"
    other.mkdir()
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    subprocess.run([sys.executable, "-c", code, str(other)], cwd=REPO, env=environment, check=True)
    here = written(tmp_path / "here")
    there = {str(path.relative_to(other)): path.read_bytes() for path in other.rglob("*") if path.is_file()}
    assert {name: digest(data) for name, data in there.items()} == {name: digest(data) for name, data in here.items()}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_another_seed_gives_other_files(tmp_path: Path) -> None:
    one, two = written(tmp_path / "a", seed=0), written(tmp_path / "b", seed=1)
    assert one["classes.txt"] == two["classes.txt"]
    photos = [name for name in one if name.endswith(".jpg")]
    assert all(one[name] != two[name] for name in photos)


def test_tags_are_a_table_as_a_user_would_write_it(tmp_path: Path) -> None:
    files = written(tmp_path / "demo")
    text = files["tags.csv"].decode()
    assert "\r" not in text
    rows = list(csv.DictReader(text.splitlines()))
    assert text.splitlines()[0] == "filename,tags,split"
    assert [row["split"] for row in rows] == ["train"] * SMALL.train + ["val"] * SMALL.val
    for number, row in enumerate(rows):
        assert (tmp_path / "demo" / row["filename"]).is_file()
        assert tuple(row["tags"].split("|")) == draw_scene(0, number, SMALL.size).tags
    assert files["classes.txt"].decode().splitlines() == list(CLASSES)


def test_masks_are_written_for_val_alone(tmp_path: Path) -> None:
    files = written(tmp_path / "demo")
    rows = list(csv.DictReader(files["tags.csv"].decode().splitlines()))
    val = {Path(row["filename"]).stem for row in rows if row["split"] == "val"}
    assert {Path(name).stem for name in files if name.endswith(".png")} == val
    assert sum(name.startswith("images/") for name in files) == SMALL.train + SMALL.val


def test_masks_are_indexed_and_fit_their_photos(tmp_path: Path) -> None:
    written(tmp_path / "demo")
    for number in range(SMALL.train, SMALL.train + SMALL.val):
        expected = draw_scene(0, number, SMALL.size)
        (path,) = (tmp_path / "demo/masks").glob(f"*{number:04}.png")
        with Image.open(path) as mask, Image.open(tmp_path / "demo/images" / f"{path.stem}.jpg") as photo:
            assert mask.mode == "P"
            assert mask.size == photo.size
            palette = np.array(mask.getpalette(), np.uint8).reshape(-1, 3)
            np.testing.assert_array_equal(palette[: len(CLASSES) + 1], voc_palette()[: len(CLASSES) + 1])
            np.testing.assert_array_equal(np.array(mask), expected.mask)
            # The JPEG is of good quality: it differs from what was drawn by less than the noise of the drawn sensor.
            assert np.abs(np.asarray(photo, np.float32) - expected.image).mean() < 6


def test_every_scene_is_reported(tmp_path: Path) -> None:
    calls: list[None] = []
    (tmp_path / "demo").mkdir()
    write_demo(tmp_path / "demo", 0, SMALL, lambda: calls.append(None))
    assert len(calls) == SMALL.train + SMALL.val


@pytest.mark.parametrize("wrong", [{"train": 0}, {"val": 0}, {"size": 10}, {"size": "160"}, {"scenes": 3}])
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DemoSettings.model_validate({"train": 200, "val": 60, "size": 160, **wrong})
