"""`wsss inspect`: how an artifact was made, and whether its inputs are still those."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.helpers import CLASSES
from tests.toy_networks import write_student
from wsss import cli
from wsss.core import locked_files
from wsss.core.locked_files import CACHE, content_md5
from wsss.core.stage import hash_input
from wsss.data.origins import LABELS_SHA
from wsss.report.lineage import ABSENT, INDEX, OTHER, RAW, SAME, Input, lineage
from wsss.stores.labels import PSEUDO_FORMAT
from wsss.stores.shards import StoreMeta, write_store_index

INPUTS = ("artifacts/cams", "artifacts/table.csv", "raw", "wsss/crf", "pipeline/evaluate.py")


@pytest.fixture
def student(tmp_path: Path) -> Path:
    """A network that dvc.lock lists, with a store, a table, a folder of photos and code as its inputs."""
    for name, text in {
        "artifacts/cams/index.json": "{}",
        "artifacts/cams/00000.h5": "shard",
        "artifacts/table.csv": "id\n",
        "raw/photo.jpg": "photo",
        "wsss/crf/dense.py": "1\n",
        "wsss/crf/__pycache__/dense.pyc": "compiled",
        "pipeline/evaluate.py": "2\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    write_student(tmp_path / "artifacts/student.pt")

    def listed(*names: str) -> list[dict[str, str]]:
        return [{"path": name, "md5": content_md5(tmp_path / name)} for name in names]

    params = {"params.yaml": {"evaluate": {"scales": [1.0, 1.5]}, "seed": 3}}
    stages = {
        "before": {"outs": listed("artifacts/cams", "artifacts/table.csv")},
        "evaluate": {"deps": listed(*INPUTS), "params": params, "outs": listed("artifacts/student.pt")},
    }
    (tmp_path / "dvc.lock").write_text(json.dumps({"stages": stages}))
    return tmp_path / "artifacts/student.pt"


def inputs_of(path: Path) -> dict[str, Input]:
    found: dict[str, Input] = lineage(path)["lineage"]["inputs"]
    return found


def inputs(path: Path) -> dict[str, str]:
    return {name: each.now for name, each in inputs_of(path).items()}


def test_stage_settings_and_inputs_that_are_still_there(student: Path) -> None:
    found = lineage(student)["lineage"]
    assert (found["stage"], found["settings"]) == ("evaluate", {"evaluate": {"scales": [1.0, 1.5]}, "seed": 3})
    assert inputs(student) == {"artifacts/cams": SAME, "artifacts/table.csv": SAME, "raw": RAW}
    assert found["code"] == "2 files and folders, the same now"


def test_settings_that_are_others_now_are_told(student: Path) -> None:
    params = student.parent.parent / "params.yaml"
    key = "settings changed since"
    params.write_text("seed: 3\nevaluate: {scales: [1.0, 1.5]}\ndistill: {rounds: 1}\n")
    assert key not in lineage(student)["lineage"]
    params.write_text("seed: 4\nevaluate: {crf: {on: true}}\n")
    assert lineage(student)["lineage"][key] == {
        "evaluate.crf.on": "not written then, true now",
        "evaluate.scales": "[1.0, 1.5] then, not written now",
        "seed": "3 then, 4 now",
    }
    params.write_text("seed: [")
    assert key not in lineage(student)["lineage"]


def test_what_has_changed_since_is_told(student: Path) -> None:
    root = student.parent.parent
    (root / "artifacts/cams/00000.h5").write_text("other")
    (root / "artifacts/table.csv").unlink()
    (root / "wsss/crf/dense.py").write_text("3\n")
    assert inputs(student) == {"artifacts/cams": OTHER, "artifacts/table.csv": ABSENT, "raw": RAW}
    assert lineage(student)["lineage"]["code"] == "2 files and folders; changed since: wsss/crf"


def test_only_a_large_store_is_compared_by_its_index_and_that_is_said(
    student: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = student.parent.parent
    entries = [{"md5": content_md5(path), "relpath": path.name} for path in sorted((root / "artifacts/cams").iterdir())]
    listing = json.dumps(sorted(entries, key=lambda entry: entry["relpath"])).encode()
    md5 = hashlib.md5(listing).hexdigest() + ".dir"
    assert md5 == content_md5(root / "artifacts/cams")
    (root / CACHE / md5[:2]).mkdir(parents=True)
    (root / CACHE / md5[:2] / md5[2:]).write_bytes(listing)
    assert inputs(student)["artifacts/cams"] == SAME
    (root / "artifacts/cams/00000.h5").write_text("other")
    assert inputs(student)["artifacts/cams"] == OTHER
    monkeypatch.setattr(locked_files, "READ", 1)
    assert inputs(student)["artifacts/cams"] == INDEX  # what reads this shard, or verifies it, says so
    (root / "artifacts/cams/index.json").write_text('{"other": 1}')
    assert inputs(student)["artifacts/cams"] == OTHER


def test_an_artifact_of_another_run_has_no_inputs(student: Path) -> None:
    with student.open("ab") as file:
        file.write(b"x")
    found = lineage(student)["lineage"]
    why = "this is not what dvc.lock lists: it was altered, or it, or dvc.lock, is of another run"
    assert found == {"inputs": "unknown", "why": f"{why} (wsss verify {student})"}


def test_what_was_altered_is_told_first(student: Path) -> None:
    table = student.parent / "table.csv"

    def told(*names: str) -> str:
        return CliRunner().invoke(cli.main, ["inspect", str(table), *names]).stdout.splitlines()[0]

    table.write_text("id\na\n")
    careful = "careful: this is not what dvc.lock lists: it was altered, or it, or dvc.lock, is of another run (wsss "
    for names in ((), ("a",)):
        assert told(*names).startswith(careful)
    table.write_text("id\n")
    assert told() == "what: table"


def test_seed_and_recipe_of_the_run_are_told_of_what_heeds_neither(pseudo: Path) -> None:
    lock = pseudo.parent.parent / "dvc.lock"
    assert "run" not in lineage(pseudo)["lineage"]
    stages = json.loads(lock.read_text())["stages"]
    stages["cams"]["params"] = {"params.yaml": {"seed": 3}}
    stages["gallery"] = {
        "deps": [{"path": "artifacts/pseudo", "md5": content_md5(pseudo)}],
        "params": {"params.yaml": {"gallery": {"recipe": "msrc"}}},
        "outs": [{"path": "reports/gallery", "md5": "0.dir"}],
    }
    lock.write_text(json.dumps({"stages": stages}))
    assert lineage(pseudo)["lineage"]["run"] == "seed 3, recipe msrc"
    stages["gallery"]["deps"][0]["md5"] = "of another run"
    lock.write_text(json.dumps({"stages": stages}))
    assert lineage(pseudo)["lineage"]["run"] == "seed 3"


def test_nothing_is_said_where_no_lock_lists_it(student: Path, tmp_path: Path) -> None:
    assert lineage(student.parent) == {}
    (student.parent / "other.pt").write_bytes(student.read_bytes())
    assert lineage(student.parent / "other.pt") == {}
    (tmp_path / "dvc.lock").write_text("[]")
    assert "dvc.lock: not a lock file of DVC" in lineage(student)["lineage"]["why"]
    (tmp_path / "dvc.lock").unlink()
    assert lineage(student) == {}


@pytest.fixture
def pseudo(tmp_path: Path) -> Path:
    """What dvc.lock lists as the last of three stages: index, cams, correct."""
    names = ("raw/photo.jpg", "artifacts/index.csv", "wsss/crf.py", "artifacts/cams", "wsss/gmm.py", "artifacts/pseudo")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)

    def listed(*names: str) -> list[dict[str, str]]:
        return [{"path": name, "md5": content_md5(tmp_path / name)} for name in names]

    stages = {
        "correct": {"deps": listed(*names[1:2], *names[3:5]), "outs": listed(names[5])},
        "index": {"deps": listed("raw"), "outs": listed(names[1])},
        "cams": {"deps": listed(*names[1:3]), "outs": listed(names[3])},
        "later": {"deps": listed(names[5]), "outs": [{"path": "artifacts/later", "md5": "0" * 32}]},
    }
    (tmp_path / "dvc.lock").write_text(json.dumps({"stages": stages}))
    return tmp_path / "artifacts/pseudo"


def before(path: Path) -> dict[str, str]:
    return {stage: str(each) for stage, each in lineage(path)["lineage"].get("before", {}).items()}


def test_the_whole_way_back(pseudo: Path) -> None:
    found = before(pseudo)
    assert list(found) == ["cams", "index"]
    assert found == {
        "cams": "artifacts/cams; inputs and code: the same now",
        "index": "artifacts/index.csv; inputs: raw is not compared; code: the same now",
    }
    assert list(before(pseudo.parent / "cams")) == ["index"]
    assert before(pseudo.parent / "index.csv") == {}


def test_what_has_changed_further_back_is_told(pseudo: Path) -> None:
    root = pseudo.parent.parent
    (root / "wsss/crf.py").write_text("other")
    (root / "artifacts/index.csv").unlink()
    what = "artifacts/cams; inputs: artifacts/index.csv is not here now; code: changed since: wsss/crf.py"
    assert before(pseudo)["cams"] == what


@pytest.fixture
def distilled(tmp_path: Path) -> Path:
    """A student that has learned from imported labels, and the store in which the stage has noted their checksum."""
    labels = tmp_path / "artifacts/corrected/index.json"
    labels.parent.mkdir(parents=True)
    labels.write_text("{}")
    meta = StoreMeta(PSEUDO_FORMAT, CLASSES, {LABELS_SHA: hash_input(labels.parent)})
    (tmp_path / "artifacts/relabelled").mkdir()
    write_store_index(tmp_path / "artifacts/relabelled", meta, [])
    (tmp_path / "artifacts/distilled.pt").write_text("student")
    made = ("artifacts/distilled.pt", "artifacts/relabelled")
    outs = [{"path": name, "md5": content_md5(tmp_path / name)} for name in made]
    params = {"params.yaml": {"distill": {"labels": "artifacts/corrected"}}}
    (tmp_path / "dvc.lock").write_text(json.dumps({"stages": {"distill": {"params": params, "outs": outs}}}))
    return tmp_path / "artifacts/distilled.pt"


def test_labels_that_were_imported_are_an_input(distilled: Path) -> None:
    assert inputs(distilled) == {"artifacts/corrected": SAME}
    (distilled.parent / "corrected/index.json").write_text("{} ")
    assert inputs(distilled) == {"artifacts/corrected": OTHER}
    (distilled.parent / "corrected/index.json").unlink()
    (distilled.parent / "corrected").rmdir()
    assert inputs(distilled) == {"artifacts/corrected": ABSENT}


def test_labels_that_were_imported_say_whose_they_are(distilled: Path) -> None:
    labels, relabelled = distilled.parent / "corrected", distilled.parent / "relabelled"
    attributes = {"corrected_by_hand": 1, "taken_from_labels": 20, "made_by": "otsu"}
    write_store_index(labels, StoreMeta(PSEUDO_FORMAT, CLASSES, attributes), [])
    write_store_index(relabelled, StoreMeta(PSEUDO_FORMAT, CLASSES, {LABELS_SHA: hash_input(labels)}), [])
    lock = distilled.parent.parent / "dvc.lock"
    stages = json.loads(lock.read_text())["stages"]
    stages["distill"]["outs"][1]["md5"] = content_md5(relabelled)
    lock.write_text(json.dumps({"stages": stages}))
    told = str(lineage(distilled)["lineage"]["inputs"]["artifacts/corrected"])
    assert told == "the same now, 1 photo corrected by hand, 20 photos by otsu"


def test_the_student_says_whose_labels_and_maps_it_has_learned_from(distilled: Path) -> None:
    labels, relabelled = distilled.parent / "corrected", distilled.parent / "relabelled"
    write_store_index(labels, StoreMeta(PSEUDO_FORMAT, CLASSES, {"maps_by": "seam"}), [])
    write_store_index(relabelled, StoreMeta(PSEUDO_FORMAT, CLASSES, {LABELS_SHA: hash_input(labels)}), [])
    student, lock = distilled.parent / "student.pt", distilled.parent.parent / "dvc.lock"
    student.write_text("student, as it was evaluated")
    stages = json.loads(lock.read_text())["stages"]
    stages["distill"]["outs"][1]["md5"] = content_md5(relabelled)
    stages["evaluate"] = {
        "deps": stages["distill"]["outs"],
        "outs": [{"path": "artifacts/student.pt", "md5": content_md5(student)}],
    }
    lock.write_text(json.dumps({"stages": stages}))
    assert str(inputs_of(distilled)["artifacts/corrected"]) == "the same now, made of CAMs by seam"
    told = "artifacts/distilled.pt, artifacts/relabelled, learned from imported labels (made of CAMs by seam); inputs"
    assert before(student)["distill"].startswith(told)
    write_store_index(labels, StoreMeta(PSEUDO_FORMAT, CLASSES, {"maps_by": "irn"}), [])
    assert "made of CAMs" not in before(student)["distill"]


def test_labels_of_a_run_that_has_noted_no_checksum_are_not_compared(distilled: Path) -> None:
    (distilled.parent / "relabelled/index.json").unlink()
    assert inputs(distilled) == {"artifacts/corrected": RAW}
    assert str(Input("", RAW)) == "not compared"


def test_an_absolute_path_has_one_slash(student: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    lock, elsewhere = student.parent.parent / "dvc.lock", tmp_path_factory.mktemp("photos")
    stages = json.loads(lock.read_text())["stages"]
    stages["evaluate"]["deps"].append({"path": str(elsewhere), "md5": "0" * 32})
    lock.write_text(json.dumps({"stages": stages}))
    assert inputs(student)[str(elsewhere)] == RAW


def test_a_stage_that_has_run_since_ends_the_way(pseudo: Path) -> None:
    lock = pseudo.parent.parent / "dvc.lock"
    stages = json.loads(lock.read_text())["stages"]
    stages["cams"]["outs"][0]["md5"] = "f" * 32
    lock.write_text(json.dumps({"stages": stages}))
    assert before(pseudo) == {
        "index": "artifacts/index.csv; inputs: raw is not compared; code: the same now",
        "cams": "artifacts/cams, of another run: the stage has run since then",
    }


def test_inspect_shows_it(student: Path) -> None:
    text = CliRunner().invoke(cli.main, ["inspect", str(student)]).stdout
    assert "lineage:\n  stage: evaluate\n  run: seed 3\n  inputs:\n    artifacts/cams: the same now (md5 " in text
    settings = "  settings:\n    evaluate:\n      scales: [1.0, 1.5]\n    seed: 3\n"
    before = "  before:\n    before: artifacts/cams, artifacts/table.csv; inputs and code: the same now\n"
    assert text.endswith(settings + before)
    values = json.loads(CliRunner().invoke(cli.main, ["inspect", str(student), "--json"]).stdout)
    assert values["lineage"]["inputs"]["raw"]["now"] == RAW
