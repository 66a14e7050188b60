"""Sheets of fixed photos: the same ones whatever a run made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.toy_runs import SHAPE, Toy, columns, write_run
from wsss.data.captions import caption
from wsss.data.index import read_index
from wsss.data.masks import MaskedImages
from wsss.data.palette import display_palette
from wsss.data.photos import Photos
from wsss.data.render import label_overlay
from wsss.report.cards import Results
from wsss.report.overlays import GAP, PHOTOS, TITLES, draw_overlays, sheet
from wsss.stores.cams import FORMAT, CamStore
from wsss.stores.labels import PSEUDO_FORMAT, PredictionStore, PseudoStore, RelabelledStore
from wsss.stores.shards import StoreMeta, write_store_index


def results(folder: Path, toys: list[Toy]) -> Results:
    write_run(folder, toys)
    index = read_index(folder / "artifacts/dataset")
    (folder / "artifacts/cams").mkdir()
    write_store_index(folder / "artifacts/cams", StoreMeta(FORMAT, index.classes, {"raw": False}), [])
    (folder / "artifacts/relabelled").mkdir()
    write_store_index(folder / "artifacts/relabelled", StoreMeta(PSEUDO_FORMAT, index.classes, {}), [])
    return Results(
        index,
        MaskedImages(Photos(folder / "data", 1.0, index.records), len(index.classes)),
        CamStore(folder / "artifacts/cams"),
        (PseudoStore(folder / "artifacts/pseudo"), RelabelledStore(folder / "artifacts/relabelled")),
        PredictionStore(folder / "artifacts/predictions"),
    )


def test_tiles_of_a_sheet(tmp_path: Path) -> None:
    made = results(tmp_path, [Toy("a", columns(0, 1), columns(0, 2))])
    (record,) = made.index.records
    picture, photo = sheet(made, record), made.masked.photos.image(record)
    rows, wide = SHAPE
    high, head = len(caption("CAM", wide)), len(caption("a", 3 * wide + 2 * GAP))
    assert picture.shape[1:] == (3 * wide + 2 * GAP, 3)
    assert len(picture) > head + 2 * (high + rows) + GAP

    def place(row: int, column: int) -> tuple[int, slice]:
        return head + row * (high + rows + GAP), slice(column * (wide + GAP), column * (wide + GAP) + wide)

    def tile(row: int, column: int) -> np.ndarray:
        top, across = place(row, column)
        return picture[top + high : top + high + rows, across]

    for number, title in enumerate(TITLES):
        top, across = place(*divmod(number, 3))
        none = number in (1, 3)  # no CAM, no pseudo-label
        assert (picture[top : top + high, across] == caption(f"{title}: none" if none else title, wide)).all()
    legend = picture[head + 2 * (high + rows) + GAP :]
    for number in (1, 2):
        assert (legend == display_palette()[number]).all(axis=-1).any()

    assert (tile(0, 0) == photo).all()
    assert (tile(0, 1) == 255).all()  # no CAM
    assert (tile(0, 2) == label_overlay(photo, columns(0, 2), display_palette())).all()
    assert (tile(1, 0) == 255).all()  # no pseudo-label
    for column in (1, 2):  # the toys' branch of OSTE is the student's label
        assert (tile(1, column) == label_overlay(photo, columns(0, 1), display_palette())).all()


def test_same_photos_in_the_same_files_whatever_their_scores(tmp_path: Path) -> None:
    truth = columns(0, 1)
    for name, rule in (("one", 2), ("two", 3)):
        toys = [Toy(f"{n:02}", truth if n % rule else columns(2, 2), truth) for n in range(20)]
        assert draw_overlays(results(tmp_path / name, toys), "val", tmp_path / f"{name}_out") == PHOTOS
    top = len(caption("01", 3 * SHAPE[1] + 2 * GAP)) + len(caption("Photo", SHAPE[1]))
    for number in range(1, PHOTOS + 1):
        pictures = [np.asarray(Image.open(tmp_path / f"{name}_out/{number:02}.jpg")) for name in ("one", "two")]
        photos = [picture[top : top + SHAPE[0], : SHAPE[1]].astype(int) for picture in pictures]
        assert np.abs(photos[0] - photos[1]).max() < 40  # JPEG, with other neighbours


def test_same_inputs_same_bytes(tmp_path: Path) -> None:
    made = results(tmp_path / "run", [Toy(name, columns(0, 1)) for name in "abc"])
    for name in ("one", "two"):
        draw_overlays(made, "val", tmp_path / name)
    one, two = ({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two
    assert sorted(one) == [".wsss", "01.jpg", "02.jpg", "03.jpg"]
