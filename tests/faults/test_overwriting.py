"""What a person has made is not replaced by what a command writes, wherever it is told to write."""

from __future__ import annotations

import importlib
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from tests.helpers import REPO, tree, write_toy_store
from tests.toy_networks import photo, write_student
from wsss import cli
from wsss.core.errors import UserError
from wsss.core.stage import Stage, open_stage
from wsss.evaluation.import_masks import MASKS, import_train_masks
from wsss.evaluation.new_store import publish_new
from wsss.formats.coco_masks import _refuse_other


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WSSS_WORKERS", "0")
    write_toy_store(Stage("correct", "f" * 16, tmp_path / "scratch"), tmp_path / "pseudo", tmp_path / "log")
    return tmp_path / "pseudo"


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder of somebody's photos and masks."""
    for name in ("a.png", "masks/a.png", "masks/a%2Fb.png"):
        (tmp_path / "album" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(8, 12)).save(tmp_path / "album" / name)
    return tmp_path / "album"


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(cli.main, [str(argument) for argument in arguments])
    assert "Traceback" not in result.stderr
    assert "this is a bug" not in result.stderr
    return result.exit_code, result.stderr


def test_folder_of_photos_is_not_replaced_by_an_export(store: Path, album: Path) -> None:
    before = tree(album)
    code, text = run("export", "--to", "voc", store, album)
    assert code == 2
    assert (
        f"error: {album}: is to be replaced as a whole, and holds files that wsss did not write, e.g. a.png\n" in text
    )
    assert text.endswith("fix: choose a new folder, or move them away\n")
    assert tree(album) == before


def test_masks_drawn_by_hand_are_not_replaced_by_an_export(store: Path, tmp_path: Path) -> None:
    """By their names they could be an export's."""
    (tmp_path / "mine" / "SegmentationClass").mkdir(parents=True)
    (tmp_path / "mine" / "SegmentationClass" / "a.png").write_text("drawn by hand")
    assert run("export", "--to", "voc", store, tmp_path / "mine")[0] == 2
    assert tree(tmp_path / "mine") == {"SegmentationClass/a.png": b"drawn by hand"}


def test_masks_that_were_mended_by_hand_are_not_replaced_by_an_export(store: Path, tmp_path: Path) -> None:
    assert run("export", "--to", "voc", store, tmp_path / "voc")[0] == 0
    mask = next((tmp_path / "voc" / "SegmentationClass").rglob("*.png"))
    mask.write_text("mended by hand")
    code, text = run("export", "--to", "voc", store, tmp_path / "voc")
    assert (code, "were changed since wsss wrote them" in text) == (2, True)
    assert mask.read_text() == "mended by hand"


def test_export_of_something_else_is_replaced_by_force_alone(store: Path, tmp_path: Path) -> None:
    other, out = tmp_path / "other", tmp_path / "voc"
    shutil.copytree(store, other)
    only = tmp_path / "only.txt"
    only.write_text("set/b 3%\n")
    assert run("export", "--to", "voc", "--only", only, store, out)[0] == 0
    before = tree(out)
    code, text = run("export", "--to", "voc", other, out)
    assert (code, f"error: {out}: holds an export of {store}: it would be replaced as a whole\n" in text) == (2, True)
    assert text.endswith("or --force: it replaces what wsss has written and nobody has changed\n")
    assert tree(out) == before
    assert run("export", "--to", "voc", store, out)[0] == 0  # of all photos now
    assert tree(out) != before
    assert run("export", "--to", "voc", "--force", other, out)[0] == 0
    assert run("export", "--to", "voc", other, out)[0] == 0
    assert run("export", "--to", "voc", "--instead", store, only, other, out)[0] == 0
    assert run("export", "--to", "voc", other, out)[0] == 2
    for force in ([], ["--force"]):
        code, text = run("export", "--to", "voc", *force, store, other)
        assert (code, f"error: {other}: is a store, and no export\n" in text) == (2, True)
    assert tree(other) == tree(store)


def test_package_of_another_network_is_replaced_by_force_alone(store: Path, album: Path, tmp_path: Path) -> None:
    networks = [write_student(tmp_path / f"{name}.pt", seed=number) for number, name in enumerate("ab")]
    out = tmp_path / "package"
    assert [run("export", "--to", "package", network, out)[0] for network in networks] == [0, 2]
    assert run("export", "--to", "package", networks[0], out)[0] == 0
    assert run("export", "--to", "package", "--force", networks[1], out)[0] == 0
    for name in ("set/b 3%",):
        (album / f"{name}.jpg").parent.mkdir(exist_ok=True)
        Image.fromarray(photo(8, 12)).save(album / f"{name}.jpg")
    (tmp_path / "only.txt").write_text("set/b 3%\n")
    tasks = ["export", "--photos", album, "--only", tmp_path / "only.txt", store]
    for kind in ("labelstudio", "fiftyone", "yolo"):
        assert [run(*tasks, tmp_path / kind, "--to", kind)[0] for _ in range(2)] == [0, 0]
    tasks += [tmp_path / "labelstudio", "--to", "labelstudio"]
    (tmp_path / "labelstudio/origins.json").unlink()
    code, text = run(*tasks)
    assert (code, "is there already, and not known to be of this: it would be replaced" in text) == (2, True)
    assert run(*tasks, "--force")[0] == 0


@pytest.mark.parametrize("module", ["demo", "index", "cams", "correct", "gallery"])
def test_stage_does_not_replace_a_folder_of_somebody(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    """Nor does it work for an hour before it says so: the outputs are looked at first."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPO / "recipes" / "demo.yaml", tmp_path / "params.yaml")
    before = tree(album)
    command = importlib.import_module(f"pipeline.{module}").main
    result = CliRunner().invoke(command, ["--out", str(album)])
    assert (result.exit_code, "holds files that wsss did not write" in result.stderr) == (2, True), result.stderr
    assert tree(album) == before


def test_stage_does_not_begin_where_its_output_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "student.pt").mkdir()
    with pytest.raises(UserError, match="is a folder, and a file is to be written there"):
        open_stage("distill", {}, [], files=[Path("student.pt")]).__enter__()


def test_export_replaces_its_own_and_an_empty_folder(store: Path, tmp_path: Path) -> None:
    (tmp_path / "voc").mkdir()
    assert run("export", "--to", "voc", store, tmp_path / "voc")[0] == 0
    first = tree(tmp_path / "voc")
    assert run("export", "--to", "voc", store, tmp_path / "voc")[0] == 0
    assert tree(tmp_path / "voc") == first


def test_working_folder_is_no_output(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    code, text = run("export", "--to", "voc", store, ".")
    assert (code, text.splitlines()[-1]) == (2, "fix: name a folder below it")


@pytest.mark.parametrize("kind", ["coco", "cvat"])
def test_file_that_is_there_is_not_replaced(store: Path, tmp_path: Path, kind: str) -> None:
    tags = tmp_path / "tags.csv"
    tags.write_text("filename,tags\n")
    code, text = run("export", "--to", kind, store, tags)
    fix = "choose another name, or --force: it replaces what wsss export has written and nobody has changed"
    assert (code, text) == (2, f"error: {tags}: is there already\nfix: {fix}\n")
    assert tags.read_text() == "filename,tags\n"


@pytest.mark.parametrize("kind", ["coco", "cvat", "torchscript"])
def test_force_replaces_what_an_export_has_written_and_nothing_else(store: Path, tmp_path: Path, kind: str) -> None:
    if kind == "coco":
        pytest.importorskip("pycocotools", reason="needs wsss[coco]")
    source, out = write_student(tmp_path / "student.pt") if kind == "torchscript" else store, tmp_path / "out"
    export = ("export", "--to", kind, source)
    assert run(*export, out, "--force")[0] == 0
    made = out.read_bytes()
    assert run(*export, out)[0] == 2
    assert run(*export, out, "--force")[0] == 0
    foreign = [b"", b"by hand", made[:-9], b'{"info": {}}', *edited(made, kind, tmp_path)]
    for number, content in enumerate(foreign):
        (other := tmp_path / f"other{number}").write_bytes(content)
        code, text = run(*export, other, "--force")
        assert (code, f"is no file that wsss export --to {kind} has written" in text) == (2, True), (number, text)
        assert other.read_bytes() == content
    (tmp_path / "link").symlink_to(out)
    assert run(*export, tmp_path / "link", "--force")[0] == 2
    assert run(*export, tmp_path, "--force")[0] == 2


def edited(made: bytes, kind: str, folder: Path) -> list[bytes]:
    """The same files as a person may have changed them."""
    if kind == "coco":
        return [made.replace(b'"name": "Kuh"', b'"name": "cow"'), made.replace(b'"iscrowd": 0', b'"iscrowd": 1', 1)]
    if kind != "cvat":
        return []
    (mended := folder / "mended.zip").write_bytes(made)
    with zipfile.ZipFile(mended, "a") as archive:
        archive.writestr("SegmentationClass/mine.png", b"drawn by hand")
    return [mended.read_bytes()]


def test_network_is_not_replaced_by_its_own_export(tmp_path: Path) -> None:
    student = write_student(tmp_path / "student.pt")
    before = student.read_bytes()
    assert run("export", student, student)[0] == 2
    assert run("inspect", student, "id", "-o", student)[0] == 2
    assert student.read_bytes() == before


def test_predictions_do_not_replace_masks_drawn_by_hand(album: Path, tmp_path: Path) -> None:
    student, before = write_student(tmp_path / "student.pt"), tree(album)
    code, text = run("predict", student, album, "-o", album)
    assert (code, text) == (
        2,
        f"error: {album}: is a folder of photos\nfix: choose a folder beside it, e.g. -o {tmp_path}/found\n",
    )
    code, text = run("predict", student, album / "a.png", "-o", album, "--force")
    assert code == 2
    assert "holds files that wsss predict has not written (masks)\nfix: choose another -o" in text
    assert {name: data for name, data in tree(album).items() if not name.startswith(".lock")} == before


def test_upper_bound_does_not_replace_what_is_there(store: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is there already and holds something else, and nothing is replaced"):
        publish_new(tmp_path / "other labels", store, MASKS)
    params = tmp_path / "params.yaml"
    params.write_text("dataset: {root: photos, max_megapixels: 1.0}\n")
    with pytest.raises(UserError, match="holds files that wsss did not write"):
        import_train_masks(params, tmp_path / "dataset", tmp_path / "masks.csv", tmp_path)


def test_masks_drawn_by_hand_are_not_drawn_over(tmp_path: Path) -> None:
    mask = np.zeros((4, 6), np.uint8)
    Image.fromarray(mask).save(tmp_path / "a.png")
    _refuse_other(tmp_path / "a.png", mask)
    _refuse_other(tmp_path / "b.png", mask)
    with pytest.raises(UserError, match="is another mask than the lists describe"):
        _refuse_other(tmp_path / "a.png", mask + 1)


@pytest.mark.parametrize("command", [("recipe", "use", "demo"), ("init", "album")])
def test_folder_in_place_of_the_settings_is_one_message(
    command: tuple[str, ...], album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (album / "tags.csv").write_text("filename,tags\na.png,cow\n")
    (tmp_path / "folder").mkdir()
    arguments = (*command, "--params", "folder", *(["--force"] if command[0] == "init" else []))
    code, text = run(*arguments)
    assert code == 2
    assert "folder: is a directory" in text.lower()
