"""Labels that a person has corrected: theirs are replaced, all others are as they were, and the store says so."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from tests.helpers import CLASSES
from wsss.commands import export, inspect, labels
from wsss.data.ids import file_name
from wsss.data.images import save_mask_png, voc_palette
from wsss.data.index import Index, Record, write_index
from wsss.data.origins import digest
from wsss.evaluation.import_told import how_to_train
from wsss.predict.edits import Checksums, checksums_text
from wsss.predict.table import table_text
from wsss.stores.labels import PSEUDO_FORMAT, PseudoStore, put_labels, put_mixtures
from wsss.stores.shards import StoreMeta, plan_shards, shard_writer, write_store_index

IDS = ("images/a", "images/b", "images/c")
BASE = np.array([[0, 0, 1, 255], [0, 2, 1, 255]], np.uint8)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three photos of twice the size that they are read at, with equal labels."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WSSS_SCRATCH", str(tmp_path / "scratch"))
    own = {"own_height": 4, "own_width": 8}
    records = tuple(Record(name, "train", f"{name}.jpg", None, (1, 2), 2, 4, "0" * 64, **own) for name in IDS)
    write_index(Path("artifacts/dataset"), Index(CLASSES, records))
    write_base(Path("artifacts/pseudo"), {"method": "gmm"})


def write_base(folder: Path, attributes: dict[str, str | bool], label: np.ndarray = BASE) -> None:
    meta = StoreMeta(PSEUDO_FORMAT, CLASSES, {"crf": True, **attributes})
    shards = plan_shards(IDS, 2)
    folder.mkdir()
    for shard in shards:
        with shard_writer(folder / shard.name, shard, meta) as file:
            for name in shard.ids:
                put_labels(file, name, label, np.full(BASE.shape, 0.4))
                put_mixtures(file, name, np.ones((2, 18)))
    write_store_index(folder, meta, shards)


def edit(name: str, label: np.ndarray, folder: str = "edited") -> None:
    save_mask_png(Path(folder) / "SegmentationClass" / f"{name}.png", label.repeat(2, 0).repeat(2, 1))


def run(*arguments: str, source: str = "edited") -> Result:
    return CliRunner().invoke(labels.main, ["import", source, *arguments])


def corrected(name: str = "") -> PseudoStore:
    """The store of this name; without one, the only one that was made."""
    return PseudoStore(Path(name) if name else stores()[0])


def stores() -> list[Path]:
    return sorted(Path("artifacts").glob("corrected*"))


def test_labels_are_replaced_and_everything_is_marked() -> None:
    label = BASE.copy()
    label[0, 0], label[1, 3], label[1, 1] = 1, 2, 0
    edit("a", label)
    edit("b", BASE)
    done = run()
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    name = f"artifacts/corrected_{corrected().attributes['content_sha256'][:8]}"
    assert lines[0] == f"labels: 1 of 2 photos changed, 3 pixels → {name} (3 photos, 1 of them corrected by hand)"
    assert lines[1] == "pixels: background +1 −1, Kuh +1 −0, cat +1 −1, ignored +0 −1"
    assert lines[2] == "base: artifacts/pseudo, from which 1 of the masks differ"
    assert f"dvc exp run gallery -S ++distill.labels={name} -S ++distill.relabel.overrule=false" in lines[3]
    store, base = corrected(), corrected("artifacts/pseudo")
    assert (store.ids, store.classes) == (IDS, CLASSES)
    assert store.attributes["corrected_by_hand"] == 1
    assert store.has_mixtures
    np.testing.assert_array_equal(store.label("images/a"), label)
    np.testing.assert_array_equal(store.confidence("images/a"), label != 255)
    np.testing.assert_array_equal(store.label("images/a", "before"), BASE)
    for name in IDS:
        np.testing.assert_array_equal(store.mixtures(name), base.mixtures(name))
        assert ("corrected_by_hand" in store.group(name).attrs) is (name == "images/a")
        if name != "images/a":
            np.testing.assert_array_equal(store.label(name), BASE)
            np.testing.assert_array_equal(store.confidence(name), base.confidence(name))
            assert store.versions(name) == ()


def test_second_correction_begins_with_the_first() -> None:
    label = BASE.copy()
    label[0, 0] = 2
    edit("a", label, "one")
    assert run("--out", "first", source="one").exit_code == 0
    label[0, 1] = 2
    edit("a", label, "two")
    asked = run("--base", "first", "--out", "second", source="two")
    told = "two: would replace 1 mask corrected by hand before, in first (images/a); nothing here knows whether"
    assert (asked.exit_code, told in asked.stderr, Path("second").exists()) == (2, True, False)
    assert "add --replace-corrected if a person has edited or checked each of them; else give" in asked.stderr
    done = run("--base", "first", "--out", "second", "--replace-corrected", source="two")
    assert "1 mask corrected by hand before replaced by a newer one: images/a" in done.stdout
    edit("b", label, "three")
    assert run("--base", "second", "--out", "third", source="three").exit_code == 0
    assert [corrected(name).attributes["corrected_by_hand"] for name in ("first", "second", "third")] == [1, 1, 2]
    np.testing.assert_array_equal(corrected("third").label("images/a"), label)


def test_ignored_pixels_that_a_tool_does_not_know_stay_ignored() -> None:
    label = np.where(BASE == 255, 0, BASE).astype(np.uint8)
    label[0, 0] = 1
    edit("a", label)
    done = run()
    assert "2 ignored pixels came back as background, without a label for them: still ignored" in done.stdout
    assert corrected().label("images/a").tolist() == [[1, 0, 1, 255], [0, 2, 1, 255]]


@pytest.mark.parametrize("by", ["label map", "pixel"])
def test_ignored_pixels_that_a_tool_knows_may_become_background(by: str) -> None:
    label = BASE.copy()
    label[:, 3] = 0, 255 if by == "pixel" else 0
    edit("a", label)
    if by == "label map":
        lines = [f"{name}:{','.join(map(str, voc_palette()[n]))}::" for n, name in enumerate(CLASSES)]
        Path("edited/labelmap.txt").write_text("\n".join([*lines, "ignore:224,224,192::"]))
    done = run()
    assert re.search("[12] ignored pixels are background now", done.stdout)
    np.testing.assert_array_equal(corrected().label("images/a"), label)


def test_archive_of_export_comes_back_as_it_was() -> None:
    made = CliRunner().invoke(export.main, ["--to", "cvat", "artifacts/pseudo", "all.zip"])
    assert made.exit_code == 0, made.stderr
    done = run(source="all.zip")
    assert done.exit_code == 2
    assert "error: all.zip: not one pixel of 3 masks differs from artifacts/pseudo" in done.stderr
    assert not stores()


@pytest.fixture
def enlarged() -> None:
    """The photos' files have half the size that they are read at: their masks cannot hold every pixel of the labels."""
    own = {"own_height": 1, "own_width": 2}
    records = tuple(Record(name, "train", f"{name}.jpg", None, (1, 2), 2, 4, "0" * 64, **own) for name in IDS)
    write_index(Path("artifacts/dataset"), Index(CLASSES, records))


@pytest.mark.usefixtures("enlarged")
def test_masks_smaller_than_the_labels_come_back_as_they_were() -> None:
    assert CliRunner().invoke(export.main, ["--to", "voc", "artifacts/pseudo", "all"]).exit_code == 0
    assert "not one pixel of 3 masks differs from artifacts/pseudo" in run(source="all").stderr


@pytest.mark.usefixtures("enlarged")
def test_in_masks_smaller_than_the_labels_only_painted_pixels_count() -> None:
    assert CliRunner().invoke(export.main, ["--to", "voc", "artifacts/pseudo", "all"]).exit_code == 0
    path = Path("all/SegmentationClass/images/b.png")
    with Image.open(path) as image:
        mask = np.array(image)
    mask[0, 0] = 1
    save_mask_png(path, mask)
    assert "labels: 1 of 3 photos changed, 4 pixels" in run(source="all").stdout
    assert corrected().label("images/b").tolist() == [[1, 1, 1, 255], [1, 1, 1, 255]]


def test_classes_without_a_tag_are_told() -> None:
    label = BASE.copy()
    label[0, 0] = 3
    edit("a", label)
    done = run()
    assert done.exit_code == 0
    assert "1 photos show classes that they are not tagged with: images/a (dog)" in done.stderr


@pytest.mark.parametrize(
    ("recipe", "rounds", "found"), [("quick", 1, True), ("quick", 2, False), ("baseline", 1, False)]
)
def test_rounds_of_the_recipe_come_back(recipe: str, rounds: int, found: bool) -> None:
    """After labels that a first student had corrected, which one round learned from."""
    Path("params.yaml").write_text(f"distill: {{rounds: {rounds}}}\ngallery: {{recipe: {recipe}}}\n")
    store = SimpleNamespace(attributes={})
    told = "\n".join(how_to_train(Path("mine"), store, by_hand=True))  # type: ignore[arg-type]
    assert ("overrule=false -S distill.rounds=2\n" in told) is found
    assert ("rounds: 2, as your recipe has" in told) is found


def test_labels_that_a_student_has_corrected_are_for_one_round() -> None:
    write_base(Path("artifacts/relabelled"), {"overrule": True})
    edit("a", np.zeros_like(BASE))
    assert "overrule=false -S distill.rounds=1\n(one round, because" in run("--base", "artifacts/relabelled").stdout
    assert "-S distill.rounds=1" not in run("--base", "artifacts/pseudo").stdout


def test_nothing_is_replaced() -> None:
    label = BASE.copy()
    label[0, 0] = 2
    edit("a", label)
    assert "holds something else, and nothing is replaced" in run("--out", "artifacts/pseudo").stderr
    assert run().exit_code == 0
    first = stores()
    again = run()
    assert f"→ {first[0]}, which is there already (3 photos" in again.stdout
    assert run("--out", str(first[0])).exit_code == 0  # the same labels
    label[0, 1] = 2
    edit("a", label)
    refused = run("--out", str(first[0]), "--replace-corrected")
    assert (refused.exit_code, refused.stderr.splitlines()[-1]) == (
        *(2, "fix: choose another --out, or leave --out away: then the name is a new one"),
    )
    assert run("--replace-corrected").exit_code == 0
    np.testing.assert_array_equal(corrected(str(first[0])).label("images/a")[0], [2, 0, 1, 255])
    second = set(stores()) - set(first)
    np.testing.assert_array_equal(corrected(str(second.pop())).label("images/a"), label)
    label[0, 1] = 0
    edit("a", label)
    (first[0] / "00000.h5").unlink()
    assert (
        f"fix: delete {first[0]}, and import again" in run("--base", "artifacts/pseudo", "--out", f"{first[0]}").stderr
    )


def test_the_name_is_of_the_labels_and_not_of_the_archive() -> None:
    label = BASE.copy()
    label[0, 0] = 2
    edit("a", label)
    assert run().exit_code == 0
    edit("a", label, "again")
    edit("b", BASE, "again")
    assert "which is there already" in run("--base", "artifacts/pseudo", source="again").stdout


def relabelled() -> np.ndarray:
    """A store of other labels, of which most masks were exported; its label."""
    label = BASE.copy()
    label[:, 0] = 2
    write_base(Path("artifacts/relabelled"), {"overrule": True, "multiscale": False}, label)
    return label


def test_the_base_is_the_store_from_which_the_fewest_masks_differ() -> None:
    label = relabelled()
    for name in "ab":
        edit(name, label)
    label[1, 1] = 1
    edit("c", label)
    lines = run().stdout.splitlines()
    assert lines[0].startswith("labels: 1 of 3 photos changed, 1 pixels")
    base = "base: artifacts/relabelled, from which 1 of the masks differ"
    assert f"{base} (artifacts/pseudo: 3; to take another one: --base)" in lines
    assert "labels: 3 of 3 photos changed" in run("--base", "artifacts/pseudo").stdout


def test_of_equal_bases_the_one_with_the_most_corrections_is_taken() -> None:
    label = BASE.copy()
    label[0, 0] = 2
    edit("a", label)
    assert run().exit_code == 0
    edit("b", label, "more")
    assert f"base: {stores()[0]}, from which 1 of the masks differ (artifacts/pseudo: 1;" in run(source="more").stdout
    assert sorted(corrected(str(path)).by_hand for path in stores()) == [1, 2]


def all_edited(made: str = "sent") -> None:
    """An export of relabelled labels, `made` as a folder, of which every mask was edited in a pixel, and one far more:
    it is nearer to the pseudo-labels now. In `edited`, without the list of origins.
    """
    relabelled()
    assert CliRunner().invoke(export.main, ["--to", "voc", "artifacts/relabelled", made]).exit_code == 0
    for name in "abc":
        label = BASE.copy()
        label[1, 1] = 0
        edit(f"images/{name}", label, made)
    shutil.copytree(made, "edited", ignore=shutil.ignore_patterns("origins.json", "labelmap.txt"))


def test_where_every_mask_is_edited_the_list_beside_them_says_what_they_are_of() -> None:
    all_edited()
    told = run(source="sent").stdout
    line = "base: artifacts/relabelled, from which 3 of the masks differ; they were exported from it (origins.json in "
    assert f"\n{line}sent)\n" in told
    assert "-S distill.rounds=1" in told


def test_or_what_is_given_of_the_export_or_its_note() -> None:
    assert CliRunner().invoke(export.main, ["--to", "cvat", "artifacts/pseudo", "pseudo.zip"]).exit_code == 0
    Path("params.yaml").touch()
    all_edited()
    line = "base: artifacts/relabelled, from which 3 of the masks differ; they were exported from it"
    others = "(artifacts/pseudo: 3, in 12 pixels; to take another one: --base)"
    assert f"\n{line} (the last export of these photos here) {others}\n" in run().stdout
    assert CliRunner().invoke(export.main, ["--to", "cvat", "artifacts/relabelled", "all.zip"]).exit_code == 0
    assert f"\n{line} (all.zip)\n" in run("--exported", "all.zip").stdout
    line = "base: artifacts/pseudo, from which 3 of the masks differ; they were exported from it (pseudo.zip)"
    assert f"\n{line}\n" in run("--exported", "pseudo.zip", source="sent").stdout


def test_where_nothing_says_it_the_fewest_pixels_do() -> None:
    label = relabelled()
    label[1, 1] = 1
    for name in "abc":
        edit(name, label)
    line = "base: artifacts/relabelled, from which 3 of the masks differ, in the fewest pixels (12) "
    assert f"\n{line}(artifacts/pseudo: 3, in 36 pixels; to take another one: --base)\n" in run().stdout


def test_labels_corrected_over_what_was_exported_are_a_base_and_others_are_none() -> None:
    """Two people correct the same photo of an export; all of relabelled is far from it."""
    assert CliRunner().invoke(export.main, ["--to", "voc", "artifacts/pseudo", "sent"]).exit_code == 0
    shutil.copytree("sent", "other")
    relabelled()
    for name, folder, value in (("images/a", "sent", 2), ("images/b", "sent", 2), ("images/a", "other", 1)):
        label = BASE.copy()
        label[0, 0] = value
        edit(name, label, folder)
    assert run(source="sent").exit_code == 0
    (first,) = stores()
    told = run(source="other").stdout
    line = f"base: {first}, from which 1 of the masks differ; they were exported from artifacts/pseudo "
    assert f"\n{line}(origins.json in other) (artifacts/pseudo: 1; to take another one: --base)\n" in told
    assert "2 of them corrected by hand" in told
    shutil.rmtree("other")
    for path in stores():
        shutil.rmtree(path)
    shutil.move("artifacts/relabelled", "artifacts/corrected_of_old")
    shutil.copytree("sent", "third")
    (Path("third") / "origins.json").write_text('{"images/a": ["labels", "artifacts/corrected_old", "0"]}')
    line = "base: artifacts/pseudo, from which 2 of the masks differ; they were exported from artifacts/corrected_old"
    assert f"{line} (origins.json in third), which cannot be the base now" in run(source="third").stdout


def test_an_import_is_found_again_when_its_base_is_gone() -> None:
    """After a training of one round, `artifacts/relabelled` holds no photo."""
    label = relabelled()
    for name in "ab":
        edit(name, label)
    label[1, 1] = 1
    edit("c", label)
    assert run().exit_code == 0
    (place,) = stores()
    shutil.rmtree("artifacts/relabelled")
    again = run()
    assert again.stdout.startswith(f"labels: edited → {place}, which is there already (3 photos, "), again.output
    assert f"distill.labels={place} -S ++distill.relabel.overrule=false -S distill.rounds=1" in again.stdout
    assert stores() == [place]
    assert "3 of them by otsu" in run("--made-by", "otsu").stdout  # marked otherwise, it is another import


def test_masks_of_before_a_correction_do_not_undo_it() -> None:
    """Two people correct the same export: the second has the first one's photo as it was."""
    label = BASE.copy()
    label[0, 0] = 2
    edit("a", label)
    assert run().exit_code == 0
    (first,) = stores()
    edit("a", BASE, "other")
    edit("b", label, "other")
    shutil.move("artifacts/pseudo", "elsewhere")
    told = run(source="other").stdout
    assert f"1 mask as before the corrections in {first}: these stay" in told
    (second,) = set(stores()) - {first}
    for name in ("images/a", "images/b"):
        np.testing.assert_array_equal(corrected(str(second)).label(name), label)
    assert corrected(str(second)).by_hand == 2


def test_a_base_without_photos_says_why() -> None:
    meta = StoreMeta(PSEUDO_FORMAT, CLASSES, {"multiscale": False})
    Path("artifacts/relabelled").mkdir()
    write_store_index(Path("artifacts/relabelled"), meta, [])
    edit("a", np.zeros_like(BASE))
    told = run("--base", "artifacts/relabelled").stderr
    assert "artifacts/relabelled: this store holds no photo: distill.rounds is 1" in told
    assert "base: artifacts/pseudo" in run().stdout


def test_labels_of_another_method_are_no_work_of_a_hand() -> None:
    edit("a", np.zeros_like(BASE))
    assert run("--made-by", " ").exit_code == 2
    done = run("--made-by", "otsu")
    assert "(3 photos, 1 of them by otsu)" in done.stdout
    assert "overrule" not in done.stdout
    store = corrected()
    assert (store.by_hand, store.attributes["taken_from_labels"], store.attributes["made_by"]) == (0, 1, "otsu")
    assert store.group("images/a").attrs["taken_from_labels"] == "by otsu"
    told = CliRunner().invoke(inspect.main, [str(store.path)]).stdout.splitlines()
    assert "by otsu: 1 photo: images/a" in told
    assert "hand" not in "".join(told)
    assert "origin: by otsu" in CliRunner().invoke(inspect.main, [str(store.path), "images/a"]).stdout
    edit("b", np.ones_like(BASE), "painted")
    more = run("--base", str(store.path), source="painted").stdout
    assert "1 of them corrected by hand, 1 by otsu" in more
    assert "overrule=false" in more


def test_another_method_replaces_no_work_of_a_hand_unasked() -> None:
    label = BASE.copy()
    label[0, 0] = 2
    edit("a", label)
    assert run("--out", "first").exit_code == 0
    edit("a", np.zeros_like(BASE), "found")
    refused = run("--base", "first", "--made-by", "otsu", source="found")
    assert "would replace 1 mask corrected by hand before, in first (images/a), by masks of otsu" in refused.stderr
    assert (
        "1 of them by otsu" in run("--base", "first", "--made-by", "otsu", "--replace-corrected", source="found").stdout
    )


def test_equal_masks_are_equal_bytes() -> None:
    label = BASE.copy()
    label[0, 0] = 2
    edit("a", label)
    for out in ("first", "second"):
        assert run("--out", out).exit_code == 0
    files = [{path.name: path.read_bytes() for path in Path(out).iterdir()} for out in ("first", "second")]
    assert files[0] == files[1]


def test_damaged_base_is_refused() -> None:
    edit("a", np.zeros_like(BASE))
    with h5py.File("artifacts/pseudo/00000.h5", "r+") as file:
        file.attrs["x"] = 1
    assert run().exit_code == 4
    assert not stores()


def test_damaged_and_missing_bases_name_the_stage_that_makes_them() -> None:
    relabelled()
    edit("a", np.zeros_like(BASE))
    outs = "    outs:\n    - {path: artifacts/%s, md5: 0.dir}\n"
    stages = "".join(f"  {stage}:\n{outs % name}" for stage, name in (("correct", "pseudo"), ("distill", "relabelled")))
    Path("dvc.lock").write_text(f"schema: '2.0'\nstages:\n{stages}")
    Path("artifacts/relabelled/00000.h5").write_bytes(b"x")
    for options in ((), ("--base", "artifacts/relabelled")):
        assert "\nfix: make it again: dvc repro -f -s distill\n" in run(*options).stderr
    for path in ("artifacts/pseudo", "artifacts/relabelled"):
        shutil.rmtree(path)
    assert "artifacts/pseudo/index.json: no such file\nfix: make it: dvc repro correct\n" in run().stderr


def test_inspect_says_what_imported_labels_are_made_of() -> None:
    label = BASE.copy()
    label[0, 0] = 2
    edit("a", label)
    assert run().exit_code == 0

    def told(*names: str) -> list[str]:
        return CliRunner().invoke(inspect.main, [str(stores()[0]), *names]).stdout.splitlines()

    text = told()
    own = text[text.index("settings:") + 1 : text.index("settings of its base, of the labels that were not replaced:")]
    assert [line.strip().partition(":")[0] for line in own] == [
        *("corrected_by_hand", "content_sha256", "base", "edited", "base_sha256", "edited_sha256"),
    ]
    assert {"  crf: true", "  method: gmm"} == {*text[len(own) + 6 : len(own) + 8]}
    base, edited = (next(line for line in text if line.startswith(f"  {name}: ")) for name in ("base", "edited"))
    assert (base, edited) == ("  base: artifacts/pseudo", "  edited: edited")
    made = text[text.index("made of:") + 1 :]
    assert made[0].startswith("  base: artifacts/pseudo: the same now (sha256 ")
    assert made[1].startswith("  edited: edited: the same now (sha256 ")
    assert made[2] == "corrected by hand: 1 photo: images/a"
    assert "origin: corrected by hand" in told("images/a")
    assert not any(line.startswith("origin") for line in told("images/b"))
    edit("a", BASE)
    Path("artifacts/pseudo/index.json").unlink()
    made = told()[text.index("made of:") + 1 :]
    assert made[0].startswith("  base: artifacts/pseudo: another one now")
    assert made[1].startswith("  edited: edited: another one now")


def change(classes: tuple[str, ...], ids: tuple[str, ...], drop: str = "", tags: tuple[int, ...] = (1,)) -> None:
    """The data set as it is indexed now; the settings name the classes that were dropped."""
    shutil.rmtree("artifacts/dataset")
    own = {"own_height": 4, "own_width": 8}
    records = tuple(Record(name, "train", f"{name}.jpg", None, tags, 2, 4, "0" * 64, **own) for name in ids)
    write_index(Path("artifacts/dataset"), Index(classes, records))
    Path("params.yaml").write_text(f"dataset: {{drop: [{drop}]}}\n")


def pipeline_labels(classes: tuple[str, ...], ids: tuple[str, ...], folder: Path = Path("artifacts/pseudo")) -> None:
    """What stage `correct` makes of the data set as it is now: all background."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    meta, (shard,) = StoreMeta(PSEUDO_FORMAT, classes, {"crf": True}), plan_shards(ids, 9)
    with shard_writer(folder / shard.name, shard, meta) as file:
        for name in ids:
            put_labels(file, name, np.zeros_like(BASE), np.ones(BASE.shape))
    write_store_index(folder, meta, [shard])


def write_labelmap(names: tuple[str, ...] = CLASSES, folder: str = "edited") -> None:
    lines = [f"{name}:{','.join(map(str, voc_palette()[n]))}::" for n, name in enumerate(names)]
    Path(folder, "labelmap.txt").write_text("\n".join([*lines, "ignore:224,224,192::"]))


def test_photos_that_came_and_went_do_not_stop_an_import() -> None:
    """Also where the base is a store that was corrected before: what it lacks is the pipeline's."""
    label = BASE.copy()
    label[0, 0] = 2
    edit("images/a", label, "first")
    edit("images/b", label, "first")
    assert run(source="first").exit_code == 0
    (first,) = stores()
    ids = ("images/a", "images/c", "images/new")
    change(CLASSES, ids)
    pipeline_labels(CLASSES, ids)
    for name in ("images/b", "images/c", "images/new"):
        edit(name, label)
    done = run()
    assert done.exit_code == 0, done.stderr
    assert "labels: 2 of 2 photos changed" in done.stdout
    assert "1 photo without a label there: from artifacts/pseudo (images/new)" in done.stdout
    assert "1 mask left out, of photos that the data set has no more: images/b" in done.stdout
    (second,) = set(stores()) - {first}
    made = corrected(str(second))
    assert (made.ids, made.by_hand) == (ids, 3)
    for name in ids:
        np.testing.assert_array_equal(made.label(name)[0, 0], 2)
    again = run(source="first").stderr  # the store that was made of it is no more of these photos
    assert f"not one pixel of 1 masks differs from {second}" in again
    assert f"none needed if these corrections are in it already (distill.labels: {second})" in again
    edit("images/who", label)
    assert "1 of 4 masks fit no photo of the labels: images/who" in run().stderr
    shutil.rmtree("edited")
    edit("images/b", label)
    assert "all masks are of photos that the data set has not any more: images/b" in run().stderr


def test_the_same_masks_over_a_changed_data_set_are_another_store() -> None:
    label = BASE.copy()
    label[0, 0] = 2
    edit("a", label)
    assert run("--base", "artifacts/pseudo").exit_code == 0
    (first,) = stores()
    change(CLASSES, IDS[:2])
    done = run("--base", "artifacts/pseudo")
    assert done.exit_code == 0, done.stderr
    (second,) = set(stores()) - {first}
    assert corrected(str(second)).ids == IDS[:2]
    assert run().stdout.startswith(f"labels: edited → {second}, which is there already")


def test_classes_that_were_dropped_are_background_in_masks() -> None:
    label = BASE.copy()
    label[0, 0] = 1
    edit("images/a", label)
    write_labelmap()
    change(("background", "Kuh", "dog", "sheep"), IDS, tags=(1, 3))
    pipeline_labels(("background", "Kuh", "dog", "sheep"), IDS)
    refused = run()
    assert "4 pixels have the label 'cat', which is no class" in refused.stderr
    change(("background", "Kuh", "dog", "sheep"), IDS, "cat", tags=(1, 3))
    done = run()
    assert done.exit_code == 0, done.stderr
    assert "background, because these classes were dropped (dataset.drop): 4 pixels of cat" in done.stdout
    assert "the masks have no label for sheep, a class that 1 photo of them is tagged with" in done.stderr
    np.testing.assert_array_equal(corrected().label("images/a"), np.where(label == 2, 0, label))


def test_masks_that_nobody_has_edited_are_known_though_a_class_was_dropped() -> None:
    Path("params.yaml").touch()
    assert CliRunner().invoke(export.main, ["--to", "voc", "artifacts/pseudo", "edited"]).exit_code == 0
    Path("edited/origins.json").unlink()
    label = BASE.copy()
    label[0, 0] = 1
    edit("images/a", label)
    change(("background", "Kuh", "dog"), IDS, "cat")
    pipeline_labels(("background", "Kuh", "dog"), IDS)
    done = run("--edited-only")
    assert done.exit_code == 0, done.stderr
    assert "labels: 1 of 3 photos changed" in done.stdout
    assert "2 masks left out that nobody has edited (--edited-only)" in done.stdout


def test_corrected_labels_are_taken_over_to_a_changed_data_set() -> None:
    label = BASE.copy()
    label[0, 0] = 3
    edit("images/a", label)
    edit("images/b", label)
    assert run().exit_code == 0
    (first,) = stores()
    classes, ids = ("background", "dog", "Kuh", "sheep"), ("images/a", "images/c", "images/new")
    change(classes, ids, "cat", tags=(1, 3))
    done = run(source=str(first))
    assert done.exit_code == 0, done.stderr
    (second,) = set(stores()) - {first}
    lines = done.stdout.splitlines()
    assert lines[0] == (
        f"labels: {first} → {second} (1 corrected by hand; all other photos learn from artifacts/pseudo)"
    )
    assert lines[1:5] == [
        "left out, of photos that the data set has no more: images/b",
        "cat is dropped (dataset.drop); pixels that are background now: 1",
        "new classes, which these labels do not show: sheep",
        "paint them, or these photos teach that they are not there: images/a",
    ]
    assert f"distill.labels={second} -S ++distill.relabel.overrule=false" in lines[5]
    made = corrected(str(second))
    assert (made.ids, made.classes, made.by_hand) == (("images/a",), classes, 1)
    numbers = np.array([0, 2, 0, 1, *range(4, 256)], np.uint8)
    np.testing.assert_array_equal(made.label("images/a"), numbers[label])
    np.testing.assert_array_equal(made.label("images/a", "before"), numbers[BASE])
    assert made.group("images/a").attrs["corrected_by_hand"]
    assert run(source=str(first)).stdout.startswith(f"labels: {first} → {second}, which is there already")
    refused = run("--edited-only", source=str(first))
    assert "--edited-only is for masks, and this is a store of labels" in refused.stderr
    assert "holds no labels that a person has corrected" in run(source="artifacts/pseudo").stderr
    # New corrections go on from these, and have those of the photos that were taken over.
    pipeline_labels(classes, ids)
    edit("images/c", np.ones_like(BASE), "third")
    assert run(source="third").exit_code == 0
    (third,) = set(stores()) - {first, second}
    assert corrected(str(third)).by_hand == 2


def test_a_folder_of_predictions_is_taken_as_it_is() -> None:
    """Its masks are known, and its classes may be those of an earlier network."""
    names = ["background", "dog", "Kuh", "wolf"]
    numbers = np.array([0, 2, 0, 1, *range(4, 256)], np.uint8)
    for name in IDS:
        save_mask_png(Path("found/masks") / file_name(name, ".png"), BASE.repeat(2, 0).repeat(2, 1))
    Path("found/settings.json").write_text(json.dumps({"format": "wsss.predict", "classes": names}))
    written = {name: Checksums("", digest(BASE.repeat(2, 0).repeat(2, 1))) for name in IDS}
    Path("found/masks.json").write_text(checksums_text(written))
    Path("found/predictions.csv").write_text(table_text({}, names))
    label = numbers[np.where(BASE == 2, 1, BASE)]
    label[0, 0] = 1
    save_mask_png(Path("found/masks") / file_name("images/a", ".png"), label.repeat(2, 0).repeat(2, 1))
    for source in ("found", "found/masks"):
        done = run("--edited-only", source=source)
        assert done.exit_code == 0, done.stderr
        assert "labels: 1 of 3 photos changed" in done.stdout or "is there already" in done.stdout
    assert corrected().by_hand == 1
    assert corrected().label("images/a")[0, 0] == CLASSES.index("dog")
