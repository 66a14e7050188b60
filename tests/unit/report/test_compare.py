"""Two runs: numbers against a reference, the page, and what is refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.toy_networks import write_student
from tests.toy_runs import CLASSES, SCORES, SHAPE, Toy, columns, write_run
from wsss.commands import compare as command
from wsss.commands.sections import default_values
from wsss.core.atomic import sha256_file
from wsss.core.errors import IntegrityError, UserError
from wsss.data.images import save_mask_png
from wsss.report.compare import Comparison, compare, sources
from wsss.report.compare_page import write_page
from wsss.report.compare_text import signed
from wsss.report.differing import differing_settings
from wsss.report.sides import open_sides, read_label_scores, read_scores

TRUTH = columns(0, 1)
A = (
    Toy("better", columns(0, 0), TRUTH),
    Toy("worse", columns(0, 1, 1, 1), TRUTH),
    Toy("same", columns(2, 1), TRUTH),
    Toy("much worse", TRUTH, TRUTH),
    Toy("unknown", columns(0, 0)),
    Toy("train", None, TRUTH, columns(0, 255), "train"),
)
B = (
    replace(A[0], prediction=TRUTH),
    replace(A[1], prediction=columns(1, 1, 1, 1)),
    A[2],
    replace(A[3], prediction=columns(2, 2)),
    replace(A[4], prediction=columns(0, 0, 0, 1)),
    replace(A[5], pseudo=TRUTH),
)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Two folders, the second with other predictions, another setting and another score."""
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "a", A)
    write_run(tmp_path / "b", B, alpha=0.7, scores={**SCORES, "student ms+flip+crf": 0.625, "oste": 0.1})
    return "a", "b"


def found(runs: tuple[str, str], *options: object) -> Comparison:
    with open_sides(*runs) as (a, b):
        return compare(a, b, *options)  # type: ignore[arg-type]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command.main, arguments)


def ious(pairs: list[tuple[np.ndarray, np.ndarray]]) -> list[float | None]:
    """IoU by class over (label, mask) pairs, pixel by pixel."""
    both = [(int(p), int(t)) for label, mask in pairs for p, t in zip(label.flat, mask.flat, strict=True) if t != 255]
    result: list[float | None] = []
    for number in range(len(CLASSES)):
        either = sum(number in pair for pair in both)
        result.append(sum(pair == (number, number) for pair in both) / either if either else None)
    return result


def mean(values: list[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known)


def test_photos_match_brute_force(runs: tuple[str, str]) -> None:
    result = found(runs)
    assert [photo.name for photo in result.photos] == ["better", "much worse", "same", "unknown", "worse"]
    assert result.judged == 4
    assert result.splits == ("val",)
    for photo in result.photos:
        first, second = (next(toy for toy in toys if toy.name == photo.name) for toys in (A, B))
        assert first.prediction is not None
        assert photo.changed == pytest.approx((first.prediction != second.prediction).sum() / (SHAPE[0] * SHAPE[1]))
        if first.mask is None:
            assert (photo.a, photo.b, photo.delta) == (None, None, None)
        else:
            assert second.prediction is not None
            assert photo.a == pytest.approx(mean(ious([(first.prediction, first.mask)])))
            assert photo.b == pytest.approx(mean(ious([(second.prediction, first.mask)])))


def test_classes_match_brute_force_and_are_sorted(runs: tuple[str, str]) -> None:
    result = found(runs)
    pairs = [
        [(t.prediction, t.mask) for t in toys if t.prediction is not None and t.mask is not None] for toys in (A, B)
    ]
    first, second = (ious(each) for each in pairs)
    expected = dict(zip(CLASSES, zip(first, second, strict=True), strict=True))
    assert {row.name: (row.a, row.b) for row in result.classes} == {
        name: (pytest.approx(a), pytest.approx(b)) for name, (a, b) in expected.items()
    }
    deltas = [row.delta for row in result.classes]
    assert deltas == sorted(deltas, key=lambda value: -(value or 0))


def test_mean_is_that_of_the_classes_and_needs_photos_for_an_interval(runs: tuple[str, str]) -> None:
    result = found(runs)
    assert result.mean is not None
    assert result.mean.a == pytest.approx(mean([row.a for row in result.classes]))
    assert result.mean.b == pytest.approx(mean([row.b for row in result.classes]))
    assert {row.interval for row in (result.mean, *result.classes)} == {None}  # four photos have a mask
    assert "interval" not in run(*runs).stdout
    assert result.scores
    assert not coloured("<h2>mIoU</h2>")  # nothing says that these differences are more than chance


def coloured(title: str) -> list[str]:
    """The differences that the page colours in the table below `title`."""
    html = Path("reports/compare/index.html").read_text(encoding="utf-8")
    return re.findall(r'delta (?:up|down)" data-label="Δ">([^ <]*)', html.partition(title)[2].partition("</table>")[0])


def test_only_the_difference_whose_interval_leaves_out_0_is_coloured(runs: tuple[str, str], tmp_path: Path) -> None:
    result = found(runs)
    assert len(result.scores) > 1
    assert result.mean is not None
    for interval, names in (((-0.1, 0.2), []), ((0.1, 0.2), [result.source])):
        write_page(replace(result, mean=replace(result.mean, interval=interval)), 1, tmp_path / "reports/compare")
        rows = {row.name: row.delta for row in result.scores}
        assert coloured("<h2>mIoU</h2>") == [signed(rows[name]) for name in names]


def test_intervals_of_more_photos(runs: tuple[str, str], tmp_path: Path) -> None:
    for name, toys in (("a", A), ("b", B)):
        more = [replace(toys[number % 4], name=f"{number}") for number in range(12)]
        write_run(tmp_path / name, more)
    total = found(runs).mean
    assert total is not None
    assert total.delta is not None
    assert total.interval is not None
    low, high = total.interval
    assert low < total.delta < high
    lines = run(*runs).stdout.splitlines()
    expected = f"{100 * total.delta:+.2f} [{100 * low:+.1f}, {100 * high:+.1f}]"
    assert next(line for line in lines if line.startswith("mIoU  ")).endswith(expected)
    assert any(line.startswith("[95 %]: interval of Δ") for line in lines)
    html = (tmp_path / "reports/compare/index.html").read_text(encoding="utf-8")
    assert f"<small>[{100 * low:+.1f}, {100 * high:+.1f}]</small>" in html
    assert json.loads(run(*runs, "--json").stdout)["mean"]["interval"] == [low, high]


def test_extremes(runs: tuple[str, str]) -> None:
    shown = {title: [photo.name for photo in photos] for title, photos in found(runs).extremes(5).items()}
    assert shown == {"most improved": ["better"], "most worsened": ["much worse", "worse"]}
    assert [photo.name for photo in found(runs).extremes(1)["most worsened"]] == ["much worse"]


def test_without_masks_by_the_share_of_changed_pixels(tmp_path: Path) -> None:
    for name, toys in (("a", A), ("b", B)):
        write_run(tmp_path / name, [replace(toy, mask=None) for toy in toys])
    result = found((str(tmp_path / "a"), str(tmp_path / "b")))
    assert (result.judged, result.classes) == (0, ())
    (photos,) = result.extremes(2).values()
    assert [(photo.name, photo.changed) for photo in photos] == [("much worse", 1.0), ("better", 0.5)]
    text = run(str(tmp_path / "a"), str(tmp_path / "b"), "-o", str(tmp_path / "out")).stdout
    assert "No photo has a mask, so they are ordered by the share of pixels in which A and B differ." in text
    html = (tmp_path / "out/index.html").read_text(encoding="utf-8")
    assert "A and B differ" in html
    assert "Ground truth" not in html
    assert "B is right" not in html


def test_source_and_split(runs: tuple[str, str]) -> None:
    result = found(runs, "pseudo-label", "train")
    assert [(photo.name, photo.changed) for photo in result.photos] == [("train", 0.5)]
    with open_sides("a") as (a,):
        assert list(sources(a)) == [
            *("pseudo-label", "oste", "oste ms+flip", "oste ms+flip+crf"),
            *("student", "student ms+flip", "student ms+flip+crf"),
        ]


def test_settings_that_differ() -> None:
    a = {"seed": 0, "correct": {"fixed": {"alpha": 0.5}, "list": [1, 2]}, "old": {"x": 1}}
    b = {"seed": 0, "correct": {"fixed": {"alpha": 0.7}, "list": [1, 3]}, "new": None}
    assert differing_settings(a, b, {}) == [
        ("correct.fixed.alpha", "0.5", "0.7"),
        ("correct.list", "[1, 2]", "[1, 3]"),
        ("new", "–", "None"),
        ("old.x", "1", "–"),
    ]
    assert differing_settings(a, a, {}) == []


def test_the_precision_that_was_used_is_compared(runs: tuple[str, str], tmp_path: Path) -> None:
    for name, precision in zip(runs, ("bf16-mixed", "32-true"), strict=True):
        write_student(tmp_path / name / "artifacts/student.pt", precision=precision)
        (tmp_path / name / "artifacts/cams").mkdir()
        (tmp_path / name / "artifacts/cams/index.json").write_text('{"precision": "32-true"}')
    write_student(tmp_path / "a/artifacts/oste.pt", precision="bf16-mixed")
    write_student(tmp_path / "b/artifacts/oste.pt")  # a file of an older version, which does not say it
    assert [row for row in found(runs).settings if "precision" in row[0]] == [
        ("distill.optim.precision", "bf16-mixed", "32-true"),
        ("train.optim.precision", "bf16-mixed", "not recorded"),
    ]


def write_lock(folder: Path, pseudo: str, used: str = "one", cams: str = "one", code: str = "1") -> None:
    """A lock by whose md5s evaluate has `used` pseudo-labels, and correct CAMs, that may not be those listed."""
    stages = {
        "cams": {"outs": [{"path": "artifacts/cams", "md5": cams}]},
        "correct": {
            "deps": [{"path": "artifacts/cams", "md5": "one"}, {"path": "wsss/correct", "md5": code}],
            "outs": [{"path": "artifacts/pseudo", "md5": pseudo}],
        },
        "evaluate": {
            "deps": [{"path": "artifacts/pseudo", "md5": used}, {"path": "pipeline/evaluate.py", "md5": "1"}],
            "outs": [{"path": "artifacts/predictions", "md5": "one"}],
        },
    }
    (folder / "dvc.lock").write_text(json.dumps({"stages": stages}))


def test_predictions_and_scores_of_an_earlier_run_are_left_out(runs: tuple[str, str], tmp_path: Path) -> None:
    write_lock(tmp_path / "a", "one")
    write_lock(tmp_path / "b", "two")
    lines = run(*runs, "--data", "a/data").stdout.splitlines()
    assert lines[3] == "B: evaluate is older than correct: its predictions and score table are left out"
    assert "student ms+flip+crf val      50.00       –       –" in lines
    assert found(runs, None, None, Path("a/data")).source == "pseudo-label"
    html = (tmp_path / "reports/compare/index.html").read_text(encoding="utf-8")
    assert f"{lines[3]}.</p>" in html
    assert json.loads(run(*runs, "--data", "a/data", "--json").stdout)["older"] == {"b": "correct"}
    with pytest.raises(UserError, match=r"b keeps no label maps of 'student'; its predictions are older than correct"):
        found(runs, "student")
    write_lock(tmp_path / "b", "two", used="two")
    assert "is older than" not in run(*runs, "--data", "a/data").stdout


def test_labels_of_a_run_without_scores_are_counted_for_the_upper_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `dvc repro correct`, say: the numbers are those that stand below, beside those of A's own table."""
    monkeypatch.chdir(tmp_path)
    pseudo = {"a": columns(0, 255), "b": columns(0, 1, 1, 255)}
    for name, label in pseudo.items():
        toys = (Toy("p", TRUTH, TRUTH, label), Toy("q", TRUTH, TRUTH, TRUTH))
        write_run(tmp_path / name, toys, labels=(0.75, 1.0, 0.75))
    write_lock(tmp_path / "a", "one")
    write_lock(tmp_path / "b", "two")
    lines = run("a", "b", "--data", "a/data").stdout.splitlines()
    mean = found(("a", "b"), None, None, Path("a/data")).mean
    assert mean is not None
    assert mean.a == pytest.approx(0.75)
    assert mean.b is not None
    (told,) = (line for line in lines if line.startswith("pseudo-label  "))
    assert told.split() == ["pseudo-label", "val", "75.00", f"{100 * mean.b:.2f}", f"{100 * mean.b - 75:+.2f}"]
    assert "pseudo-label, coverage             val      75.00   87.50  +12.50" in lines
    assert "student ms+flip+crf val      50.00       –       –" in lines


def test_a_run_whose_labels_are_of_an_earlier_one_is_refused(runs: tuple[str, str], tmp_path: Path) -> None:
    write_lock(tmp_path / "b", "one", cams="two")
    with pytest.raises(UserError, match="b: its stage cams is newer than its pseudo-labels") as caught:
        found(runs)
    assert caught.value.fix == "run it to its end: dvc repro"


def test_stages_of_other_code_are_named(runs: tuple[str, str], tmp_path: Path) -> None:
    write_lock(tmp_path / "a", "one")
    write_lock(tmp_path / "b", "one", code="2")
    assert "code differs in: correct" in run(*runs, "--data", "a/data").stdout.splitlines()
    assert json.loads(run(*runs, "--data", "a/data", "--json").stdout)["code"] == ["correct"]
    assert "Code differs in: correct.</p>" in (tmp_path / "reports/compare/index.html").read_text(encoding="utf-8")
    (tmp_path / "a/dvc.lock").unlink()  # nothing is known of its code
    assert "code differs" not in run(*runs).stdout


def test_a_setting_that_is_not_written_has_its_default() -> None:
    defaults = {"x.crf": "off", "x.crf.iterations": 10, "x.crf.weight": 3, "x.flip": True}
    a = {"x": {"crf": {"iterations": 5, "weight": 3}, "flip": True}}
    b: dict[str, object] = {"x": {"crf": {"weight": 3}}}
    assert differing_settings(a, b, defaults) == [("x.crf.iterations", "5", "10 (default)")]
    # What is switched off has no iterations.
    off = {"x": {"crf": "off"}}
    assert differing_settings(a, off, defaults)[:2] == [("x.crf", "–", "off"), ("x.crf.iterations", "5", "–")]
    assert default_values()["evaluate.crf.iterations"] == 10


def test_terminal(runs: tuple[str, str]) -> None:
    result = run(*runs)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[:3] == ["A: a", "B: b", "5 photos of val in both, 4 with a mask."]
    assert "student ms+flip+crf val      50.00   62.50  +12.50" in lines
    assert "oste                val          –   10.00       –" in lines
    assert lines[lines.index("settings that differ  A    B") + 1] == "correct.fixed.alpha   0.5  0.7"
    assert any(line.startswith("much worse") and line.endswith("100.00    0.00 -100.00") for line in lines)
    assert lines[-1] == "compare: pictures → reports/compare/index.html"


def test_label_sources_have_their_coverage_beside_their_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ignores fewer pixels gains mIoU and loses accuracy: three numbers say so, one does not."""
    monkeypatch.chdir(tmp_path)
    for name, labels in (("a", (0.348, 0.45, 0.671)), ("b", (0.3544, 0.414, 0.776))):
        write_run(tmp_path / name, A, labels=labels)
    result = run("a", "b")
    lines = result.stdout.splitlines()
    assert "pseudo-label        val      34.80   35.44   +0.64" in lines
    start = lines.index("labels, %                          split        A       B       Δ")
    assert lines[start + 1 : start + 4] == [
        "pseudo-label, labelled pixels only val      45.00   41.40   -3.60",
        "pseudo-label, coverage             val      67.10   77.60  +10.50",
        "",
    ]
    html = (tmp_path / "reports/compare/index.html").read_text(encoding="utf-8")
    assert "+10.50" in html
    # In a column of its own the measure ran out of its card on a phone.
    assert '<td>pseudo-label <small class="measure">labelled pixels only</small></td><td>val</td>' in html
    values = json.loads(run("a", "b", "--json").stdout)["labels"]
    assert [row["measure"] for row in values] == ["labelled pixels only", "coverage"]
    assert values[1]["delta"] == pytest.approx(0.105)


def test_what_ignored_pixels_hide_is_counted_in_the_compared_maps(runs: tuple[str, str]) -> None:
    """Of the training photo A labels half, all of it right; B all of it, and as right."""
    lines = run(*runs, "--source", "pseudo-label", "--split", "train").stdout.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("pseudo-label, %"))
    assert lines[start + 1].split() == ["labelled", "pixels", "only", "100.00", "100.00", "+0.00"]
    assert lines[start + 2].split() == ["coverage", "50.00", "100.00", "+50.00"]
    assert found(runs).labelled == ()  # predictions ignore nothing


def test_json(runs: tuple[str, str]) -> None:
    values = json.loads(run(*runs, "--json", "--images", "1").stdout)
    assert values["shown"] == {"most improved": ["better"], "most worsened": ["much worse"]}
    row = {"source": "cam", "split": "val", "a": 0.25, "b": 0.25, "delta": 0.0, "photos": [5, 5]}
    assert values["scores"][0] == row
    assert values["settings"] == [{"key": "correct.fixed.alpha", "a": "0.5", "b": "0.7"}]
    assert {photo["id"]: photo["delta"] for photo in values["photos"]}["unknown"] is None
    assert (values["judged"], values["splits"]) == (4, ["val"])


def test_page_shows_names_as_text_and_is_whole(runs: tuple[str, str], tmp_path: Path) -> None:
    assert run(*runs).exit_code == 0
    out = tmp_path / "reports/compare"
    html = (out / "index.html").read_text(encoding="utf-8")
    assert CLASSES[1] not in html
    assert "&lt;script&gt;alert(1)" in html
    assert html.count("<script>") == 1
    assert 'onmouseover="' not in html
    assert "http:" not in html
    assert "https:" not in html
    files = {path.relative_to(out).as_posix() for path in out.rglob("*.webp")}
    assert len(files) == 3 * 5
    assert all(f'"{file}"' in html for file in files)


def test_the_present_folder_is_called_the_working_tree(
    runs: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / "b")
    assert run("../a").stdout.startswith("A: ../a\nB: the working tree\n")
    html = (tmp_path / "b/reports/compare/index.html").read_text(encoding="utf-8")
    assert '<h1>../a <span class="soft">against</span> the working tree</h1>' in html
    assert "A is ../a, B is the working tree." in html
    assert json.loads(run("../a", "--json").stdout)["b"] == "."


def test_same_runs_same_bytes(runs: tuple[str, str], tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert run(*runs, "-o", name).exit_code == 0
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / name).rglob("*.*")} for name in ("one", "two"))
    assert one == two


def test_a_run_against_itself(runs: tuple[str, str]) -> None:
    text = run(runs[0], runs[0]).stdout
    assert "most improved: none" in text
    assert "no setting differs" in text


def test_scores_of_other_numbers_of_photos_are_pointed_out(runs: tuple[str, str], tmp_path: Path) -> None:
    assert "own scores" not in run(*runs).stdout
    write_run(tmp_path / "b", B[1:])
    result = run(*runs)
    assert "These are the runs' own scores, which were not taken of the same number of photos." in result.stdout
    assert "4 photos of val in both" in result.stdout


def test_score_table_of_another_version(tmp_path: Path) -> None:
    path = tmp_path / "sources.csv"
    path.write_text("source,miou,split,images,more\ncam,0.5,val,3,x\ncam,,train,0,x\n")
    assert read_scores(path) == {("cam", "val"): (0.5, 3), ("cam", "train"): (None, 0)}
    assert read_label_scores(path) == {}
    path.write_text("source,split\ncam,val\n")
    with pytest.raises(IntegrityError, match=r"is not the table of scores \(no column images, miou\)"):
        read_scores(path)


def test_other_classes(runs: tuple[str, str], tmp_path: Path) -> None:
    write_run(tmp_path / "c", A, classes=(*CLASSES[:2], "sheep"))
    with pytest.raises(UserError, match=r"a, c: their classes differ \(only in a: \[.*\], only in c: \['sheep'\]\)"):
        found(("a", "c"))
    write_run(tmp_path / "d", A, classes=(CLASSES[0], CLASSES[2], CLASSES[1]))
    with pytest.raises(UserError, match="in another order"):
        found(("a", "d"))


def test_no_photo_in_common(runs: tuple[str, str], tmp_path: Path) -> None:
    write_run(tmp_path / "c", [replace(toy, name=f"{toy.name}2") for toy in A])
    with pytest.raises(UserError, match="not one photo is in both"):
        found(("a", "c"))


def test_no_label_maps_of_a_split(runs: tuple[str, str]) -> None:
    with pytest.raises(UserError, match=r"not one photo of split train has a label map of 'stud") as caught:
        found(runs, None, "train")
    assert caught.value.fix == "choose --split val"
    with pytest.raises(UserError, match="split val has a label map of 'pseudo-label' in both") as caught:
        found(runs, "pseudo-label")
    assert caught.value.fix == "choose --split train"


def test_unknown_source(runs: tuple[str, str]) -> None:
    with pytest.raises(UserError, match=r"a keeps no label maps of 'studnt' \(did you mean 'student'\?\)") as caught:
        found(runs, "studnt")
    assert caught.value.fix.startswith("choose one of: pseudo-label, oste,")


def test_missing_artifacts(runs: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "b/artifacts/predictions/index.json").unlink()
    result = run(*runs)
    assert result.exit_code == 2
    assert "b/artifacts/predictions/index.json: no such file" in result.stderr
    (tmp_path / "b/reports/sources.csv").unlink()
    (tmp_path / "b/reports").rmdir()
    result = run(*runs)
    assert "error: b: has no artifacts/ and reports/" in result.stderr
    assert "fix: give the folder of a checkout after dvc repro, or a revision" in result.stderr


def test_photos_elsewhere(runs: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "a/data").rename(tmp_path / "moved")
    assert run(*runs).exit_code == 0  # those of the other run are the same
    for file in (tmp_path / "b/data").iterdir():
        file.unlink()
    (tmp_path / "b/data").rmdir()
    result = run(*runs)
    assert result.exit_code == 2
    assert "error: photos: their folder is not here (b/data, a/data)\nfix: name it: --data FOLDER" in result.stderr
    assert run(*runs, "--data", "moved").exit_code == 0


def test_a_mask_that_was_altered_since_it_was_indexed_is_told_as_such(runs: tuple[str, str]) -> None:
    path = Path("b/data/same-mask.png")
    checksums = f"id,sha256\nsame,{sha256_file(path)}\n"
    save_mask_png(path, np.zeros((4, 4), np.uint8))
    with pytest.raises(UserError) as caught:
        found(runs)
    assert caught.value.fix == "give mask and photo the same size"
    for folder in runs:
        Path(folder, "artifacts/masks.csv").write_text(checksums)
    with pytest.raises(UserError, match="displayed as 16 × 12 pixels; it has changed since it was indexed") as caught:
        found(runs)
    fix = "restore it (wsss verify tells what else has changed); or give mask and photo the same size"
    assert (Path(caught.value.where), caught.value.fix) == (path, fix)


def test_neither_folder_nor_repository(runs: tuple[str, str]) -> None:
    result = run("a", "experiment-7")
    assert result.exit_code == 2
    assert "error: experiment-7: no such folder, and no revision either: this is not in a DVC repo" in result.stderr
