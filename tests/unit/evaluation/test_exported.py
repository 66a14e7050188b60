"""Masks that nobody has edited are known by their pixels, though a tool has written them anew and lost what told it."""

from __future__ import annotations

import shutil
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from tests.conftest import RawData
from tests.helpers import CLASSES, IDS
from tests.unit.export import test_instead
from tests.unit.export.test_instead import fill, predicted_label
from wsss.commands import export, labels
from wsss.data.origins import NETWORK, Origin, digest, read_origins
from wsss.evaluation.exported import Exported, Known, known_exports, read_exported
from wsss.predict.edits import Checksums
from wsss.predict.folder import Folder
from wsss.stores.labels import PseudoStore

PHOTOS = tuple(name for name in IDS if name.isascii())[:4]
MADE = (*CLASSES[:1], *reversed(CLASSES[1:]))
"""Classes in the order of another tool's label map."""
store = test_instead.store


@pytest.fixture
def project(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a project, with labels of all photos, and with masks of a network's in ``found``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WSSS_SCRATCH", str(tmp_path / "scratch"))
    Path("params.yaml").touch()
    predict(Path("found"), PHOTOS)
    return store


def predict(out: Path, names: tuple[str, ...]) -> None:
    """A folder as `wsss predict` leaves it, with the checksums of its masks."""
    fill(out, names)
    folder = Folder(out, {})
    folder.read()
    folder.checksums = {name: Checksums("", digest(predicted_label(name))) for name in names}
    folder.write_table()


def send(*arguments: object) -> str:
    done = CliRunner().invoke(export.main, [*map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.stdout


def convert(exported: Path, edited: tuple[str, ...], out: Path = Path("edited")) -> None:
    """What a tool makes of masks in VOC's layout: RGB in its own colours, and a label map in its own order."""
    colours = np.array([(0, 0, 0), *((20 * n, 30, 40) for n in range(1, len(CLASSES)))], np.uint8)
    masks = exported / "SegmentationClass"
    for path in masks.rglob("*.png"):
        mask = np.asarray(Image.open(path)).copy()
        if path.relative_to(masks).with_suffix("").as_posix() in edited:
            mask[:2, :3] = 0
        place = out / path.relative_to(exported)
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(colours[mask]).save(place)
    lines = [f"{name}:{','.join(map(str, colours[CLASSES.index(name)]))}::\n" for name in MADE]
    (out / "labelmap.txt").write_text("".join(lines), encoding="utf-8")


def come_back(base: Path | None, *options: object) -> Result:
    arguments = ["import", "edited", "--dataset", "dataset", "--out", "corrected"]
    return CliRunner().invoke(labels.main, [*arguments, *(["--base", str(base)] if base else []), *map(str, options)])


def kinds(path: str = "corrected") -> Counter[str]:
    store = PseudoStore(Path(path))
    marks = ("corrected_by_hand", "taken_from_network", "taken_from_labels")
    return Counter(mark for name in store.ids for mark in marks if mark in store.group(name).attrs)


@pytest.mark.parametrize("kind", ["voc", "cvat"])
def test_an_export_is_remembered_outside_of_what_it_writes(project: Path, kind: str) -> None:
    out = Path("sent.zip" if kind == "cvat" else "sent")
    send("--to", "voc", "found", "layout")
    shutil.rmtree("scratch/exported")
    send("--to", kind, "found", out)
    out.unlink() if out.is_file() else shutil.rmtree(out)
    convert(Path("layout"), PHOTOS[1:2])
    for folder in ("layout", "found"):
        shutil.rmtree(folder)
    done = come_back(project)
    assert done.exit_code == 0, done.output
    assert "(20 photos, 1 of them corrected by hand, 3 taken from a network's masks)" in done.stdout
    alone = (
        "3 masks were taken that nobody has edited; for the edited ones alone: wsss labels import edited --edited-only"
    )
    assert f"\n{alone}\nto train on them: " in done.stdout
    assert "nothing here knows" not in done.stderr
    assert kinds() == {"corrected_by_hand": 1, "taken_from_network": 3}


def test_a_second_archive_of_the_same_predictions_undoes_no_correction(project: Path) -> None:
    """A colleague's: it has a network's masks where the first person has painted, and no base has those."""
    send("--to", "voc", "found", "sent")
    convert(Path("sent"), PHOTOS[1:2])
    assert come_back(project).exit_code == 0
    Path("corrected").rename("first")
    shutil.rmtree("edited")
    convert(Path("sent"), PHOTOS[2:3])
    done = come_back(Path("first"))
    assert done.exit_code == 0, done.output
    assert "labels: 1 of 4 photos changed, " in done.stdout
    assert "(20 photos, 2 of them corrected by hand, 2 taken from a network's masks)" in done.stdout
    stays = "1 mask corrected by hand before stays as it is: nobody has edited what came back"
    assert f"{stays} ({PHOTOS[1]})" in done.stdout
    first, second = PseudoStore(Path("first")), PseudoStore(Path("corrected"))
    assert (first.label(PHOTOS[1]) == second.label(PHOTOS[1])).all()
    assert kinds() == {"corrected_by_hand": 2, "taken_from_network": 2}
    shutil.rmtree("scratch/exported")
    Path("corrected").rename("second")
    refused = come_back(Path("second"), "--exported", "sent")  # nothing is new, and nothing is undone
    assert (refused.exit_code, "1 mask corrected by hand before" in refused.stderr) == (2, True), refused.output
    unknown = come_back(Path("second"))
    assert (unknown.exit_code, "would replace 1 mask corrected by hand before" in unknown.stderr) == (2, True)


def test_a_correction_may_be_painted_anew(project: Path) -> None:
    """An earlier correction that was exported, and that nobody has touched since, is none."""
    send("--to", "voc", "found", "sent")
    convert(Path("sent"), PHOTOS[1:2])
    assert come_back(project).exit_code == 0
    Path("corrected").rename("first")
    send("--to", "voc", "first", "old")
    mask = Path("edited/SegmentationClass") / f"{PHOTOS[1]}.png"
    pixels = np.asarray(Image.open(mask)).copy()
    pixels[-2:, -2:] = 0
    Image.fromarray(pixels).save(mask)
    done = come_back(Path("first"))
    assert f"1 mask corrected by hand before replaced by a newer one: {PHOTOS[1]}" in done.stdout, done.output
    Path("corrected").rename("second")
    convert(Path("sent"), PHOTOS[1:2])  # as at first
    pixels[-2:, -4:] = 0
    Image.fromarray(pixels).save(mask)
    assert come_back(Path("second")).exit_code == 0
    Path("corrected").rename("third")
    shutil.rmtree("edited")
    convert(Path("old"), ())
    stays = come_back(Path("third"))
    assert "1 mask corrected by hand before" in stays.stderr + stays.stdout
    assert "replaced by a newer one" not in stays.stdout


def test_only_edited_masks_on_request(project: Path) -> None:
    """Also over a base that has the others already."""
    send("--to", "voc", "found", "sent")
    convert(Path("sent"), PHOTOS[1:2])
    done = come_back(project, "--edited-only")
    assert done.exit_code == 0, done.output
    assert "labels: 1 of 4 photos changed, " in done.stdout
    assert "(20 photos, 1 of them corrected by hand)\n" in done.stdout
    assert "\n3 masks left out that nobody has edited (--edited-only)\n" in done.stdout
    assert "for the edited ones alone" not in done.stdout
    assert kinds() == {"corrected_by_hand": 1}
    shutil.rmtree("edited")
    shutil.rmtree("corrected")
    convert(Path("sent"), ())
    done = come_back(project, "--edited-only")
    told = "error: edited: nobody has edited the 4 masks in it: as wsss has written them (--edited-only)"
    assert (done.exit_code, told in done.stderr) == (2, True), done.stderr


def test_all_masks_are_no_import_that_is_there_where_it_was_of_the_edited_ones(project: Path) -> None:
    Path("artifacts").mkdir()
    project.rename("artifacts/pseudo")
    send("--to", "voc", "found", "sent")
    convert(Path("sent"), PHOTOS[1:2])
    command = ["import", "edited", "--dataset", "dataset", "--base", "artifacts/pseudo"]
    assert "1 of 4 photos changed" in CliRunner().invoke(labels.main, [*command, "--edited-only"]).stdout
    told = CliRunner().invoke(labels.main, command[:4])
    assert "4 of 4 photos changed" in told.stdout, told.output
    assert "which is there already" in CliRunner().invoke(labels.main, command[:4]).stdout


def test_the_edited_ones_again_are_there_already(project: Path) -> None:
    Path("artifacts").mkdir()
    project.rename("artifacts/pseudo")
    send("--to", "voc", "found", "sent")
    convert(Path("sent"), PHOTOS[1:2])
    command = ["import", "edited", "--dataset", "dataset", "--edited-only"]
    assert CliRunner().invoke(labels.main, command).exit_code == 0
    (place,) = Path("artifacts").glob("corrected*")
    again = CliRunner().invoke(labels.main, command)
    told = f"labels: edited → {place}, which is there already (20 photos, 1 corrected by hand)\n"
    assert (again.exit_code, again.stdout.startswith(told)) == (0, True), again.output
    assert "since" not in again.stdout
    Path("edited").rename("first")
    convert(Path("sent"), PHOTOS[2:3])
    assert CliRunner().invoke(labels.main, command).exit_code == 0
    (later,) = {*Path("artifacts").glob("corrected*")} - {place}
    again = CliRunner().invoke(labels.main, ["import", "first", *command[2:]])
    assert f"imported over it since, with other corrections: {later}\n" in again.stdout, again.output
    assert f"dvc exp run gallery -S ++distill.labels={later} " in again.stdout
    assert {*Path("artifacts").glob("corrected*")} == {place, later}


@pytest.mark.parametrize("given", ["found", "sent", "sent/SegmentationClass", "sent.zip"])
def test_without_a_note_a_person_says_what_was_exported(project: Path, given: str) -> None:
    send("--to", "voc", "found", "sent")
    send("--to", "cvat", "found", "sent.zip")
    shutil.rmtree("scratch/exported")
    convert(Path("sent"), PHOTOS[1:2])
    done = come_back(project)
    assert "(20 photos, 4 of them corrected by hand)" in done.stdout
    assert "of 4 of 4 masks nothing here knows how wsss has exported them, so masks that nobody has edit" in done.stderr
    assert f"if {project} was exported, from which masks that nobody has edited do not differ; else " in done.stderr
    shutil.rmtree("corrected")
    done = come_back(project, "--edited-only")
    assert done.exit_code == 2
    assert "--edited-only: of 4 masks nothing here knows how wsss has exported them, so edited ones" in done.stderr
    done = come_back(project, "--exported", given)
    assert kinds() == {"corrected_by_hand": 1, "taken_from_network": 3}, done.output
    assert "nothing here knows" not in done.stderr


def test_what_is_no_export_of_these_photos(project: Path) -> None:
    send("--to", "voc", "found", "sent")
    convert(Path("sent"), ())
    predict(Path("others"), ("elsewhere",))
    Path("empty").mkdir()
    for given, what in (
        ("fuond", "no such file or folder (did you mean 'found'?)"),
        ("empty", "says nothing of what wsss has written (no origins.json in it)"),
        ("params.yaml", "says nothing of what wsss has written"),
        ("others", "is an export of other photos than these masks are of, e.g. elsewhere"),
    ):
        done = come_back(project, "--exported", given)
        assert (done.exit_code, f"error: {given}: {what}" in done.stderr) == (2, True), done.stderr
        assert "fix: give what was exported: --exported and a folder or .zip that wsss export" in done.stderr


def test_what_is_no_base(project: Path) -> None:
    send("--to", "voc", "found", "sent")
    convert(Path("sent"), ())
    done = come_back(Path("found"))
    assert "error: found: a folder of wsss predict, and no store of labels, which the masks" in done.stderr
    assert "fix: leave --base away; and if these masks were exported, give --exported found\n" in done.stderr
    for path, what in (
        (Path("../0000000000"), "no such folder"),
        (Path("sent"), "holds no labels (no index.json in it)"),
    ):
        done = come_back(path)
        assert f"error: {path}: {what}\nfix: give a store of labels, such as artifacts/pseudo, or leave" in done.stderr


def test_masks_of_photos_in_folders_lie_in_folders_and_a_line_says_what_cvat_needs(project: Path) -> None:
    told = send("--to", "cvat", "found", "sent.zip")
    line = f"photos lie in folders ({PHOTOS[0]}): give them to CVAT as one .zip, which keeps these names"
    assert f"\n{line} (docs/howto/cvat.md)\n" in told
    with zipfile.ZipFile("sent.zip") as archive:
        assert {f"SegmentationClass/{name}.png" for name in PHOTOS} < {*archive.namelist()}
    assert {len(path.relative_to("found/masks").parts) for path in Path("found/masks").rglob("*.png")} == {1}
    send("--to", "voc", "found", "sent")
    assert all(Path(f"sent/SegmentationClass/{name}.png").is_file() for name in PHOTOS)
    predict(Path("flat"), ("a",))
    assert "photos lie in folders" not in send("--to", "cvat", "flat", "flat.zip")


def test_no_note_is_left_where_there_is_no_project(project: Path) -> None:
    Path("params.yaml").unlink()
    send("--to", "voc", "found", "sent")
    assert not Path("scratch/exported").exists()


def test_classes_are_known_by_their_names(tmp_path: Path) -> None:
    """Whoever asks may have other classes, in another order."""
    written = np.array([[0, 1, 2, 255]], np.uint8)
    exported = Exported(("background", "sheep", "cow"), {"images/a": Origin(NETWORK, "n", digest(written))})
    known = Known(("background", "cow", "dog", "sheep"), {"a": [(exported.classes, exported.origins["images/a"])]})
    assert known.origin("a", np.array([[0, 3, 1, 255]], np.uint8)) == exported.origins["images/a"]
    assert known.origin("a", written) is None  # cow and dog
    assert known.origin("b", written) is None
    assert known_exports(tmp_path, None, (), ()).written == {}
    assert read_exported(tmp_path / "nowhere") == Exported((), {})


def test_a_name_may_have_more_folders_than_that_of_the_data_set(project: Path) -> None:
    predict(Path("above"), ("my_photos/img/1", "my_photos/img/2"))
    known = known_exports(Path("nowhere"), Path("above"), ("img/1", "1"), CLASSES)
    assert set(known.written) == {"img/1"}


def test_masks_to_score_with_are_marked_and_counted(raw_data: RawData) -> None:
    raw_data.write("tags.csv", "filename,tags,split\n" + "".join(f"{name}.png,Kuh|cat|dog,val\n" for name in "ab"))
    for name in "ab":
        raw_data.photo(f"{name}.png", (8, 12))
    assert raw_data.index() is not None
    predict(Path("found"), ("a", "b"))
    send("--to", "voc", "found", "sent")
    convert(Path("sent"), ("b",))
    (raw_data.root / "classes.txt").write_text("".join(f"{name}\n" for name in CLASSES[1:]), encoding="utf-8")
    assert raw_data.index({"classes": "classes.txt"}) is not None, raw_data.text
    done = CliRunner().invoke(labels.main, ["to-masks", "edited", str(raw_data.root / "masks")])
    assert done.exit_code == 0, done.output
    assert "2 masks → " in done.stdout
    assert "/masks (1 of them still as wsss has written them: no truth); next: " in done.stdout
    assert "nothing here knows" not in done.stderr
    found = read_origins(raw_data.root / "masks")
    assert {name: origin.kind for name, origin in found.items()} == {"a": NETWORK}
    done = CliRunner().invoke(labels.main, ["to-masks", "edited", "only", "--edited-only"])
    assert "labels: 1 mask → only (without 1 that nobody has edited); next: " in done.stdout
    assert {path.name for path in Path("only").iterdir()} == {".wsss", "b.png", "labelmap.txt"}
    convert(Path("sent"), (), Path("untouched"))
    done = CliRunner().invoke(labels.main, ["to-masks", "untouched", "none", "--edited-only"])
    assert (done.exit_code, "all of 2 masks are still as wsss has written them" in done.stderr) == (2, True)
    assert not Path("none").exists()
    shutil.rmtree(".scratch", ignore_errors=True)
    done = CliRunner().invoke(labels.main, ["to-masks", "edited", "again"])
    assert "of 2 of 2 masks nothing here knows how wsss has exported them" in done.stderr
    assert "fix: none needed if a person has made or checked each of them; else give what was exported" in done.stderr


@pytest.mark.parametrize("command", [("import", "edited"), ("import-cams", "maps"), ("import-masks",)])
def test_a_folder_that_is_no_project_is_told_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(labels.main, [*command])
    what = f"error: {tmp_path}: is no project: it has no params.yaml, and no artifacts/dataset\n"
    fix = "fix: go to the folder of your project, which has both: cd FOLDER\n"
    assert (done.exit_code, done.stderr) == (2, what + fix)
    Path("params.yaml").touch()
    assert "is no project" not in CliRunner().invoke(labels.main, [*command]).stderr
