"""Of some photos the labels of another source: `wsss export --instead`, and the way back to train on the choice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import CLASSES, IDS, toy_label, write_toy_store
from tests.unit.export.test_tools import run
from wsss.core.errors import UserError
from wsss.core.stage import Stage
from wsss.data.images import save_mask_png, voc_palette
from wsss.data.index import IGNORE, Index, Record, write_index
from wsss.data.origins import HAND, NETWORK, ORIGINS, digest, read_origins
from wsss.evaluation.import_corrected import import_edited
from wsss.export.predicted import Predicted
from wsss.formats.own_masks import digests_as_written
from wsss.predict.edits import Checksums
from wsss.predict.folder import Folder
from wsss.stores.labels import PseudoStore

CHOSEN = (IDS[13], IDS[2])


def predicted_label(name: str) -> np.ndarray:
    """(8, 12), and unlike `toy_label` of any photo."""
    return np.full((8, 12), 1 + (IDS.index(name) if name in IDS else 0) % 2, np.uint8)


def fill(out: Path, names: tuple[str, ...], classes: tuple[str, ...] = CLASSES, checksum: str = "") -> Path:
    """A folder as `wsss predict` leaves it."""
    folder = Folder(out, {"model": "m", "classes": list(classes)})
    out.mkdir()
    folder.open(force=False, page=False, photos=list(names))
    for name in names:
        path = folder.mask(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(predicted_label(name)).save(path)
        values = (checksum, "8", "12", "0.9", "", "", "", "", "", *("0.5" for _ in classes))
        folder.rows[name] = [name, f"{name}.jpg", *values]
    folder.write_table()
    folder.finish()
    return out


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WSSS_WORKERS", "0")
    write_toy_store(Stage("correct", "f" * 16, tmp_path / "scratch"), tmp_path / "pseudo", tmp_path / "log")
    records = tuple(Record(name, "train", f"{name}.jpg", None, (1,), 8, 12, "") for name in IDS)
    write_index(tmp_path / "dataset", Index(CLASSES, records, 12))
    return tmp_path / "pseudo"


@pytest.fixture
def names(tmp_path: Path) -> Path:
    (tmp_path / "labels.txt").write_text("".join(f"{name}\n" for name in CHOSEN), encoding="utf-8")
    return tmp_path / "labels.txt"


def read(folder: Path, name: str) -> np.ndarray:
    with Image.open(folder / "SegmentationClass" / f"{name}.png") as mask:
        return np.asarray(mask)


def test_photo_by_photo_the_mask_or_the_label(store: Path, names: Path, tmp_path: Path) -> None:
    masks, out = fill(tmp_path / "found", IDS), tmp_path / "chosen"
    code, text, errors = run("--to", "voc", masks, out, "--instead", store, names)
    assert (code, errors) == (0, "")
    assert text == f"export: {len(IDS)} photos as voc → {out}\nof 2 photos the labels of {store}: those of {names}\n"
    for name in IDS:
        np.testing.assert_array_equal(read(out, name), (toy_label if name in CHOSEN else predicted_label)(name))


def test_labels_are_added_where_there_is_no_mask(store: Path, names: Path, tmp_path: Path) -> None:
    masks, out = fill(tmp_path / "found", IDS[5:7]), tmp_path / "chosen"
    assert run("--to", "voc", masks, out, "--instead", store, names)[0] == 0
    found = {path.relative_to(out / "SegmentationClass").with_suffix("").as_posix() for path in out.rglob("*.png")}
    assert found == {*IDS[5:7], *CHOSEN}


def test_the_last_of_several_holds_and_only_is_of_them_all(store: Path, names: Path, tmp_path: Path) -> None:
    one, masks, out = tmp_path / "one.txt", fill(tmp_path / "found", IDS), tmp_path / "chosen"
    one.write_text(f"{CHOSEN[0]}\n", encoding="utf-8")
    arguments = ("--to", "voc", store, out, "--instead", masks, names, "--instead", store, one, "--only", names)
    assert run(*arguments)[0] == 0
    np.testing.assert_array_equal(read(out, CHOSEN[0]), toy_label(CHOSEN[0]))
    np.testing.assert_array_equal(read(out, CHOSEN[1]), predicted_label(CHOSEN[1]))
    assert len(list(out.rglob("*.png"))) == 2


def test_the_choice_can_be_trained_on(store: Path, names: Path, tmp_path: Path) -> None:
    masks, out = fill(tmp_path / "found", IDS), tmp_path / "chosen"
    run("--to", "voc", masks, out, "--instead", store, names)
    import_edited(out, store, tmp_path / "dataset", tmp_path / "corrected")
    corrected = PseudoStore(tmp_path / "corrected")
    for name in IDS:
        np.testing.assert_array_equal(corrected.label(name), (toy_label if name in CHOSEN else predicted_label)(name))


def test_nothing_to_import(store: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="chosen: no such file or folder\nfix: give what CVAT, or wsss export, has"):
        import_edited(tmp_path / "chosen", store, tmp_path / "dataset", tmp_path / "corrected")


def test_other_classes_and_other_photos_are_refused(store: Path, names: Path, tmp_path: Path) -> None:
    other = fill(tmp_path / "other", IDS, classes=(*CLASSES[:-1], "zebra"))
    code, _, errors = run("--to", "voc", other, tmp_path / "chosen", "--instead", store, names)
    assert code == 2
    assert errors.startswith(f"error: {store}: has other classes than {other}: ")
    other = fill(tmp_path / "namesakes", IDS, checksum="f" * 64)
    code, _, errors = run("--to", "voc", other, tmp_path / "chosen", "--instead", store, names)
    assert code == 2
    assert errors.startswith(f"error: {store}: 2 of its photos are other files than those of these names in {other}: ")
    assert not (tmp_path / "chosen").exists()
    assert Predicted(other).ids == tuple(sorted(IDS))


def test_a_network_has_no_labels(names: Path, store: Path, tmp_path: Path) -> None:
    code, _, errors = run("--to", "onnx", tmp_path / "student.pt", tmp_path / "out", "--instead", store, names)
    assert (code, errors) == (2, "error: --instead: is of labels\nfix: leave it away\n")


def test_what_was_chosen_is_not_corrected_by_hand(store: Path, names: Path, tmp_path: Path) -> None:
    masks, out = fill(tmp_path / "found", IDS), tmp_path / "chosen"
    run("--to", "voc", masks, out, "--instead", store, names)
    painted = IDS[0]
    mask = read(out, painted).copy()
    mask[0, 0] = 0
    save_mask_png(out / "SegmentationClass" / f"{painted}.png", mask)
    says = import_edited(out, store, tmp_path / "dataset", tmp_path / "corrected")
    taken = len(IDS) - len(CHOSEN) - 1
    assert f"({len(IDS)} photos, 1 of them corrected by hand, {taken} taken from a network's masks)" in says
    corrected = PseudoStore(tmp_path / "corrected")
    assert (corrected.by_hand, corrected.attributes["taken_from_network"]) == (1, taken)
    assert corrected.attributes["edited"] == str(out)
    for name in IDS:
        marks = {mark for mark in ("corrected_by_hand", "taken_from_network") if mark in corrected.group(name).attrs}
        mark = "corrected_by_hand" if name == painted else "taken_from_network"
        assert marks == (set() if name in CHOSEN else {mark})
    assert corrected.group(IDS[1]).attrs["taken_from_network"] == str(masks)


@pytest.mark.parametrize("kind", ["voc", "cvat"])
def test_held_out_photos_keep_their_labels_where_the_masks_are_of_a_network(
    kind: str, store: Path, tmp_path: Path
) -> None:
    records = tuple(
        Record(name, "val" if name in CHOSEN else "train", f"{name}.jpg", None, (1,), 8, 12, "") for name in IDS
    )
    write_index(tmp_path / "dataset", Index(CLASSES, records, 12))
    out = tmp_path / ("chosen.zip" if kind == "cvat" else "chosen")
    run("--to", kind, fill(tmp_path / "found", IDS), out)
    says = import_edited(out, store, tmp_path / "dataset", tmp_path / "corrected")
    assert "2 val photos keep their labels: with a network's masks there" in says
    corrected = PseudoStore(tmp_path / "corrected")
    for name in IDS:
        np.testing.assert_array_equal(corrected.label(name), (toy_label if name in CHOSEN else predicted_label)(name))


def test_held_out_photos_that_a_person_has_painted_are_told(store: Path, tmp_path: Path) -> None:
    records = tuple(Record(name, "val", f"{name}.jpg", None, (1,), 8, 12, "") for name in IDS)
    write_index(tmp_path / "dataset", Index(CLASSES, records, 12))
    out = tmp_path / "chosen"
    run("--to", "voc", fill(tmp_path / "found", IDS), out)
    with pytest.raises(UserError, match=f"differs from .*, but in {len(IDS)} val photos, where it is a network's"):
        import_edited(out, store, tmp_path / "dataset", tmp_path / "corrected")
    mask = read(out, IDS[0]).copy()
    mask[0, 0] = 0
    save_mask_png(out / "SegmentationClass" / f"{IDS[0]}.png", mask)
    assert "1 val photo corrected by hand: the student's agreement is measured on them" in import_edited(
        out, store, tmp_path / "dataset", tmp_path / "corrected"
    )


def test_origins_of_a_choice_are_kept_and_a_damaged_list_of_them_is_none(
    store: Path, names: Path, tmp_path: Path
) -> None:
    masks, out = fill(tmp_path / "found", IDS), tmp_path / "chosen"
    run("--to", "voc", masks, out, "--instead", store, names, "--min-area", "2")
    found = {name: (origin.kind, origin.source) for name, origin in read_origins(out).items()}
    expected = {name: ("labels", str(store)) if name in CHOSEN else ("network", str(masks)) for name in IDS}
    assert found == expected
    for text in ("[1]", '{"a": [1]}', '{"a": ["elsewhere", "b", "c"]}', '{"a": "abc"}', "{", "[" * 100_000):
        (out / ORIGINS).write_text(text)
        assert read_origins(out) == {}


@pytest.mark.parametrize("options", [(), ("--min-area", "2")])
def test_a_mask_edited_in_the_folder_of_predictions_is_by_hand(
    store: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    masks, out = fill(tmp_path / "found", IDS[:2]), tmp_path / "voc"
    folder = Folder(masks, {})
    folder.read()
    folder.checksums = {name: Checksums("", digest(predicted_label(name))) for name in IDS[:2]}
    folder.write_table()
    assert digests_as_written(masks / "masks") == {name: digest(predicted_label(name)) for name in IDS[:2]}
    mask = predicted_label(IDS[0]).copy()
    mask[:4] = 255  # what a person does not know
    Image.fromarray(voc_palette()[mask]).save(folder.mask(IDS[0]))
    code, text, _ = run("--to", "voc", masks, out, *options)
    assert (code, text) == (0, f"export: 2 photos as voc → {out}\n1 mask edited since wsss predict: {IDS[0]}\n")
    assert [origin.kind for origin in read_origins(out).values()] == [HAND, NETWORK]
    np.testing.assert_array_equal(read(out, IDS[0]), mask)
    says = import_edited(out, store, tmp_path / "dataset", tmp_path / "corrected")
    assert "1 of them corrected by hand, 1 taken from a network's masks" in says
    folder.mask(IDS[0]).write_text("no picture")
    code, _, errors = run("--to", "voc", masks, tmp_path / "none")
    assert (code, "fix: correct the mask; or move it elsewhere, and give the same wsss predict again" in errors) == (
        4,
        True,
    )
    folder.mask(IDS[0]).unlink()
    code, _, errors = run("--to", "voc", masks, tmp_path / "none")
    assert (code, f"{folder.mask(IDS[0])}: is missing\nfix: give the same wsss predict again" in errors) == (4, True)


def test_both_ways_out_come_back_as_the_same_labels(store: Path, tmp_path: Path) -> None:
    """Also where the labels ignore pixels, which the masks have none of: background is meant there."""
    ignoring = predicted_label(IDS[0]).copy()
    ignoring[:, 6:] = IGNORE
    save_mask_png(tmp_path / "edited/SegmentationClass" / f"{IDS[0]}.png", ignoring)
    import_edited(tmp_path / "edited", store, tmp_path / "dataset", base := tmp_path / "base", "otsu")
    masks, found = fill(tmp_path / "found", IDS), {}
    save_mask_png(Folder(masks, {}).mask(IDS[0]), np.where(ignoring == IGNORE, 0, ignoring).astype(np.uint8))
    for kind, out in (("voc", tmp_path / "out"), ("cvat", tmp_path / "out.zip")):
        assert run("--to", kind, masks, out)[0] == 0
        says = import_edited(out, base, tmp_path / "dataset", tmp_path / kind)
        assert "48 ignored pixels are background now: the masks have a label for ignored ones" in says
        found[kind] = PseudoStore(tmp_path / kind)
    assert found["cvat"].label(IDS[0])[:, 6:].max() == 0
    for name in IDS:
        np.testing.assert_array_equal(found["cvat"].label(name), found["voc"].label(name))
        assert dict(found["cvat"].group(name).attrs) == dict(found["voc"].group(name).attrs)
