"""Minutes left: of the stage, by what it took or was estimated to take, and of those after it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers import REPO
from wsss.core import log, minutes
from wsss.core.errors import UserError
from wsss.core.interrupt import catch_signals
from wsss.core.log import Progress, phase
from wsss.core.minutes import ORDER, Outlook, Span, foretold, note_estimate, timed, work_of
from wsss.core.stage import open_stage


class Clock:
    """`time.monotonic` that a test moves on."""

    now = 1000.0


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock()
    for module in (log, minutes):
        monkeypatch.setattr(module.time, "monotonic", lambda: moved.now)
    return moved


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WSSS_SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.setenv("DVC_STAGE", "train")
    monkeypatch.chdir(tmp_path)
    change("quick")
    return tmp_path / "scratch"


def change(recipe: str, *more: str) -> None:
    """Settings of this recipe, in the present folder."""
    lines = [f"{name}: {{recipe: {recipe}}}" for name in ORDER]
    Path("params.yaml").write_text("\n".join([*lines, "dataset: {root: raw}", *more]))


def index(photos: int) -> None:
    """What stage `index` writes, of so many photos."""
    Path("artifacts/dataset").mkdir(parents=True, exist_ok=True)
    Path("artifacts/dataset/index.csv").write_text("id,tags\n" + "".join(f"{n},cow\n" for n in range(photos)))


@pytest.mark.parametrize(
    ("low", "high", "text", "sentence"),
    [
        (0, 0.2, "1 s", "less than a minute"),
        (4, 4.3, "4 s", "less than a minute"),
        (10, 50, "10 to 50 s", "less than a minute"),
        (20, 80, "1 min", "about 1 minute"),
        (80, 100, "1 to 2 min", "about 1 to 2 minutes"),
        (100, 170, "2 to 3 min", "about 2 to 3 minutes"),
        (3000, 7200, "50 to 120 min", "about 50 to 120 minutes"),
    ],
)
def test_spans_in_words(low: float, high: float, text: str, sentence: str) -> None:
    assert (Span(low, high).text(), Span(low, high).sentence()) == (text, sentence)


def test_the_order_is_that_of_the_pipeline() -> None:
    from ruamel.yaml import YAML

    assert list(ORDER) == list(YAML(typ="safe").load((REPO / "dvc.yaml").read_text(encoding="utf-8"))["stages"])


def run_all(time: Clock, seconds: float) -> None:
    """Every stage, each a hundred seconds longer than the one before."""
    for number, name in enumerate(ORDER):
        with timed(name, "f"):
            time.now += seconds + 100 * number


def test_of_a_first_run_nothing_is_said(time: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    run_all(time, 100)
    assert capsys.readouterr().err == ""


def test_the_next_run_tells_what_the_last_one_took(time: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    run_all(time, 100)
    with timed("evaluate", "other settings"):
        progress = Progress("evaluate", 100, "photos")
        progress.advance(10)
        assert progress.line(time.now).endswith("(10 %); stage 13 min, pipeline ≤ 28 min")
        time.now += 60
        progress.advance(10)
        assert progress.line(time.now).endswith("eta 8:00; stage 12 min, pipeline ≤ 27 min")
        time.now += 720  # it takes longer than it took
        assert progress.line(time.now).endswith("eta 1:44:00; stage 104 min, pipeline ≤ 119 min")
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "evaluate: about 13 minutes; the stages after it: at most 15 min"
    assert said[-1] == "evaluate: took 13 min; the stages after it: at most 15 min"
    assert Progress("evaluate", 100, "photos").line(time.now) == "evaluate: 0/100 photos (0 %)"


def test_what_init_estimated_counts_until_a_stage_has_run(time: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    run_all(time, 10_000)
    change("photos")
    note_estimate(dict.fromkeys(ORDER[1:], (120.0, 240.0)))
    with timed("correct", "f"):
        time.now += 300
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "correct: about 2 to 4 minutes; the stages after it: at most 12 min",
        "correct: took 5 min; the stages after it: at most 12 min",
    ]
    with timed("cams", "f"):
        pass
    assert "cams: about 2 to 4 minutes; the stages after it: at most 17 min\n" in capsys.readouterr().err


def test_how_long_a_whole_work_takes_is_known_when_the_settings_are_others(scratch: Path) -> None:
    work = work_of("photos", "/raw", 6)
    assert foretold(work) is None
    note_estimate({"train": (60.0, 120.0), "cams": (30.0, 60.0)}, work)
    note_estimate({"train": (1.0, 2.0)}, work_of("quick", "/raw", 6))
    with timed("train", "f"):
        pass
    assert foretold(work) == Span(90.0, 180.0)
    assert foretold(work_of("photos", "/raw", 7)) is None


def test_what_stages_took_by_other_settings_says_nothing(time: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    run_all(time, 100)
    capsys.readouterr()
    change("photos")  # by hand, or by `wsss recipe use`: nothing estimates it
    with timed("pretrain", "f"):
        assert Progress("x", 2).line(time.now) == "x: 0/2  (0 %)"
    assert capsys.readouterr().err == ""
    change("quick", "seed: 3")
    with timed("train", "f"):
        time.now += 400
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "train: about 7 minutes; the stages after it: at most 58 min"
    change("quick", "compute: {threads: 9}")
    with timed("train", "f"):
        pass
    assert capsys.readouterr().err == ""


def test_of_a_changed_stage_alone_the_time_is_forgotten(time: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    run_all(time, 100)
    capsys.readouterr()
    path = Path("params.yaml")
    path.write_text(path.read_text().replace("correct: {recipe: quick}", "correct: {recipe: other}"))
    for name in ("cams", "correct", "evaluate"):
        with timed(name, "f"):
            time.now += 60
    begins = [line for line in capsys.readouterr().err.splitlines() if "took" not in line]
    assert begins == ["cams: about 8 minutes", "evaluate: about 13 minutes; the stages after it: at most 15 min"]


def test_what_stages_took_of_fewer_photos_says_nothing(time: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    index(60)
    run_all(time, 100)
    index(600)
    capsys.readouterr()
    with timed("train", "f"):
        pass
    assert capsys.readouterr().err == ""
    note_estimate(dict.fromkeys(ORDER, (1200.0, 1200.0)), photos=600)
    with timed("cams", "f"):
        pass
    assert "cams: about 20 minutes; the stages after it: at most 80 min" in capsys.readouterr().err


@pytest.mark.parametrize(("photos", "said"), [(60, True), (48, True), (75, True), (47, False), (76, False)])
def test_a_few_photos_more_or_fewer_make_no_other_work(
    time: Clock, capsys: pytest.CaptureFixture[str], photos: int, said: bool
) -> None:
    note_estimate(dict.fromkeys(ORDER, (1200.0, 1200.0)), photos=60)
    index(photos)
    with timed("cams", "f"):
        pass
    assert ("cams: about 20 minutes" in capsys.readouterr().err) is said


def test_a_stage_goes_on_with_networks_that_others_size(time: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    run_all(time, 100)
    capsys.readouterr()
    path = Path("params.yaml")
    path.write_text(
        path.read_text().replace("pretrain: {recipe: quick}", "pretrain: {recipe: quick, backbone: {a: b}}")
    )
    for name in ("train", "cams", "evaluate"):
        with timed(name, "f"):
            pass
    assert [line for line in capsys.readouterr().err.splitlines() if "about" in line] == []


def test_a_stage_that_someone_starts_alone_knows_of_no_pipeline(
    time: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    note_estimate(dict.fromkeys(ORDER, (120.0, 240.0)))
    monkeypatch.delenv("DVC_STAGE")
    with timed("correct", "f"):
        assert Progress("x", 2).line(time.now).endswith("; stage 2 to 4 min")
    assert capsys.readouterr().err == "correct: about 2 to 4 minutes\n"


def work(time: Clock, seconds: float, error: type[BaseException], fingerprint: str = "f") -> None:
    """`gallery` works for so long and fails."""
    with pytest.raises(error), timed("gallery", fingerprint):
        raise_later(time, seconds, error)


def raise_later(time: Clock, seconds: float, error: type[BaseException]) -> None:
    time.now += seconds
    raise error("x", "y", "z")


def test_an_interrupted_stage_goes_on_with_what_is_left(time: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    note_estimate({"gallery": (600.0, 600.0)})
    work(time, 120, KeyboardInterrupt)
    work(time, 120, UserError)
    with timed("gallery", "f"):
        time.now += 60
    with timed("gallery", "other settings"):
        pass
    assert capsys.readouterr().err == "".join(f"gallery: about {left} minutes\n" for left in (10, 8, 6, 5))


def test_work_with_other_settings_does_not_count(time: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    note_estimate({"gallery": (600.0, 600.0)})
    work(time, 120, UserError)
    work(time, 120, UserError, "other settings")
    assert capsys.readouterr().err == "gallery: about 10 minutes\n" * 2


def test_of_seconds_nothing_is_said(time: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    note_estimate(dict.fromkeys(ORDER, (1.0, 5.0)))
    with timed("cams", "f"):
        pass
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", '{"took": 3}', '{"took": {}}', '{"whole": {"photos, 6 photos in /raw": [1]}}'),
        '{"took": {"train": "x", "cams": NaN}, "estimate": {"train": [1]}}',
        '{"took": {"train": 300.0}, "estimate": {"train": [300.0, 600.0]}}',  # of an earlier wsss: of which work?
        '{"took": {"train": {"seconds": [1, 1]}, "cams": {"settings": 1, "photos": 2, "seconds": [3]}}}',
    ],
)
def test_damaged_notes_are_no_notes(scratch: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    scratch.mkdir()
    (scratch / "minutes.json").write_text(text)
    assert foretold("photos, 6 photos in /raw") is None
    with timed("train", "f"):
        pass
    assert capsys.readouterr().err == ""
    assert list(json.loads((scratch / "minutes.json").read_text())["took"]) == ["train"]


def test_notes_that_cannot_be_written_stop_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WSSS_SCRATCH", str(tmp_path / "file"))
    with timed("train", "f"):
        pass
    note_estimate({"train": (1.0, 2.0)})


def test_only_the_first_of_several_processes_takes_notes(
    scratch: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    note_estimate({"train": (600.0, 600.0)})
    for name, value in {"RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    before = (scratch / "minutes.json").read_bytes()
    with timed("train", "f"):
        pass
    assert (scratch / "minutes.json").read_bytes() == before
    assert capsys.readouterr().err == ""


def test_a_stage_is_timed(scratch: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    note_estimate({"train": (600.0, 600.0)})
    monkeypatch.delenv("DVC_STAGE")
    with catch_signals(), open_stage("train", {}, []):
        pass
    assert capsys.readouterr().err == "train: about 10 minutes\n"
    assert json.loads((scratch / "minutes.json").read_text())["took"]["train"]["seconds"][0] < 60


def test_of_other_work_no_notes_are_taken(scratch: Path) -> None:
    with timed("a toy", "f"):
        pass
    assert not scratch.exists()


def test_the_outlook_of_a_stage_that_nothing_is_known_of_is_empty() -> None:
    outlook = Outlook("train", None, None)
    assert (outlook.live(100.0), outlook.at_begin(), outlook.at_end()) == ("", "", "")


def test_the_last_work_of_a_stage_tells_more_than_the_estimate(time: Clock, scratch: Path) -> None:
    note_estimate(dict.fromkeys(ORDER, (3000.0, 6000.0)))

    def line(label: str) -> str:
        with Progress(label, 100, "steps") as progress:
            progress.advance(10)
            time.now += 100
            progress.advance(50)
            said = progress.line(time.now)
        return said.split("stage ")[1].split(",")[0]

    with timed("distill", "f"):
        with phase("student 1 of 2"):  # the second may take longer
            assert line("distill") == "48 to 98 min"
        with phase("labels between the rounds"):
            assert line("distill") == "47 to 97 min"
        with phase("student 2 of 2"):
            assert line("distill") == "1 to 3 min"
        assert line("distill: agreement") == "43 to 93 min"
    with timed("cams", "f"):
        assert line("cams") == "1 to 2 min"


def test_what_is_left_of_two_rounds_has_the_second_student(time: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where the estimate was far too low: 90 % of the first student are not 90 % of the stage."""
    note_estimate(dict.fromkeys(ORDER, (60.0, 60.0)))

    def said(label: str, done: int) -> str:
        with Progress(label, 100, "steps") as progress:
            progress.advance(1)
            progress.line(time.now)
            time.now += 2 * (done - 1)
            progress.advance(done - 1)
            return progress.line(time.now).split("stage ")[1]

    with timed("distill", "f"):
        with phase("student 1 of 2"):
            Progress("distill", 100).line(time.now)  # it begins now
            assert said("distill", 91) == "4 min, pipeline ≤ 6 min"  # 18 s, and 198 s of the second
            time.now += 18
        with phase("labels between the rounds"):
            assert said("distill: labels", 51) == "5 min, pipeline ≤ 7 min"  # 98 s, and the second
        with phase("student 2 of 2"):
            assert said("distill", 51) == "2 min, pipeline ≤ 4 min"
