"""What to do after the verdict: remedies that apply, and commands that can be pasted."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from tests.helpers import REPO
from wsss.core.minutes import note_estimate, work_of
from wsss.data.index import Index, Record
from wsss.report.last_words import Verdict
from wsss.report.steps import Place, next_steps, steps_text
from wsss.stores.labels import PSEUDO_FORMAT, PseudoStore
from wsss.stores.shards import StoreMeta, write_store_index

GOOD, BAD = Verdict("usable", ()), Verdict("not usable", (), bad=True, longer=True)
PART = Verdict("usable in part", (), longer=True)
INDEX = Index(
    ("background", "cow", "hat"),
    tuple(Record(name, "train", f"photos/{name}.jpg", None, (1,), 8, 8, "") for name in ("a", "b/c")),
)
HERE = Place(root="/my photos")
PREDICT = "wsss predict artifacts/student.pt '/my photos/photos' -o ../found --overlays --min-area 0.1%"


def commands(
    verdict: Verdict, recipe: str = "", place: Place | None = HERE, relabelled: tuple[str, ...] = ()
) -> list[str]:
    return [step.command for step in next_steps(verdict, recipe, INDEX, relabelled, place)]


@pytest.fixture(autouse=True)
def _first_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing lies beside the folder of work, and nothing is foretold."""
    (tmp_path / "wsss").mkdir()
    monkeypatch.setenv("WSSS_SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.chdir(tmp_path / "wsss")


def test_corrected_labels_are_carried_along(tmp_path: Path) -> None:
    write_store_index(tmp_path / "mine", StoreMeta(PSEUDO_FORMAT, INDEX.classes, {"corrected_by_hand": 4}), [])
    mine = PseudoStore(tmp_path / "mine")
    bad = replace(BAD, weak=("cow",))
    whole, _, more, last = next_steps(bad, "quick", INDEX, (), HERE, mine)
    assert last.command == f"{PREDICT} --keep-corrected"
    assert whole.command == "wsss recipe use photos --keep-dataset && wsss plan"
    assert more.what == "Add photos of cow, or correct more of their labels"  # without the class they fit no more
    assert more.command == f"wsss export --to cvat {tmp_path / 'mine'} ../labels.zip"
    assert not any("wsss init" in step.command for step in (whole, more))


def test_masks_that_are_usable_are_predicted_from_the_photos_folder() -> None:
    assert commands(GOOD, "quick") == [PREDICT]
    assert steps_text(next_steps(GOOD, "quick", INDEX, (), HERE)) == f"next: {PREDICT}"


def test_remedies_come_before_the_masks() -> None:
    assert commands(BAD, "quick") == [
        "wsss init '/my photos' --recipe photos",
        "wsss export --to cvat artifacts/pseudo ../labels.zip",
        PREDICT,
    ]
    assert commands(BAD, "photos", relabelled=("a",)) == [
        "wsss export --to cvat artifacts/relabelled ../labels.zip",
        PREDICT,
    ]
    text = steps_text(next_steps(BAD, "quick", INDEX, (), HERE)).splitlines()
    assert text[0] == "what to do:"
    assert text[-1] == f"    {PREDICT}"


def test_a_quick_run_that_is_not_fine_names_the_recipe_with_better_masks_and_its_price() -> None:
    again = "wsss init '/my photos' --recipe photos"
    assert commands(PART, "quick") == [again, PREDICT]
    assert commands(PART, "photos") == commands(replace(PART, longer=False), "quick") == [PREDICT]
    assert again not in commands(replace(BAD, longer=False), "quick")

    def told(place: Place | None) -> str:
        return next_steps(PART, "quick", INDEX, (), place)[0].what

    assert "six sets of seven" in told(HERE)
    assert told(HERE).endswith("and the command says beforehand what yours will take")
    note_estimate({"train": (300.0, 660.0)}, work_of("photos", "/my photos", 2))
    assert told(HERE).endswith("; here that takes 5 to 11 min, as wsss init has foretold")
    # The page is the same wherever it is drawn.
    assert "22 to 34 minutes" in told(None)


def test_recipe_and_notebook_say_the_same_of_the_gain() -> None:
    gain = next_steps(PART, "quick", INDEX, (), HERE)[0].what
    for name in ("recipes/photos.yaml", "docs/experiments.md", "docs/choosing.md"):
        text = (REPO / name).read_text(encoding="utf-8")
        for words in ("six sets of seven", "2.5 to 16.4 points"):
            assert (words in gain, words in text) == (True, True), name
        assert "six of six" not in text
        assert "six sets of six" not in text


def test_what_an_earlier_round_wrote_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "found").mkdir()
    assert commands(GOOD) == [PREDICT.replace("../found", "../found2")]
    (tmp_path / "found2").mkdir()
    (tmp_path / "labels.zip").touch()
    assert commands(BAD) == [
        "wsss export --to cvat artifacts/pseudo ../labels2.zip",
        PREDICT.replace("../found", "../found3"),
    ]
    assert commands(GOOD, place=None)[0].endswith("FOLDER -o ../found --overlays --min-area 0.1%")


def test_labels_that_scored_better_than_the_student_come_first() -> None:
    export = "wsss export --to cvat artifacts/pseudo ../labels.zip"
    assert commands(replace(GOOD, labels="pseudo"), relabelled=("a",)) == [export, PREDICT]
    assert commands(replace(BAD, labels="pseudo"), relabelled=("a",)) == [export, PREDICT]
    text = steps_text(next_steps(replace(GOOD, labels="pseudo"), "", INDEX, ("a",), HERE))
    assert "scored better than the student (artifacts/relabelled: those of the training photos, as" in text


def test_the_weakest_class_may_be_left_out_without_a_change_of_recipe() -> None:
    weak = Verdict("not usable", (), bad=True, weak=("hat", "cow"))
    assert "wsss init '/my photos' --recipe quick --drop hat" in commands(weak, "quick")
    assert "wsss init '/my photos' --drop hat" in commands(weak, "a name of my own")
    assert "Add photos of hat, cow, or leave" in steps_text(next_steps(weak, "quick", INDEX, (), HERE))


def test_the_only_class_is_not_left_out() -> None:
    alone = Index(("background", "cow"), INDEX.records)
    steps = next_steps(Verdict("not usable", (), bad=True, weak=("cow",)), "", alone, (), HERE)
    assert not [step for step in steps if "--drop" in step.command]


def test_init_reads_the_data_set_as_it_was_read() -> None:
    place = Place(
        root="../p",
        tags="my list.csv",
        photo_column="File",
        tag_column="What is it",
        drop=("dog", "it's"),
        max_megapixels=9.0,
    )
    given = ["--tags", "../p/my list.csv", "--photo-column", "File", "--tag-column", "What is it"]
    assert shlex.split(place.options) == ["../p", *given, "--drop", "dog", "--drop", "it's"]
    assert Place(root="p", tags="folders").options == "p"


def test_the_page_names_no_place() -> None:
    place = commands(BAD, "quick", None)
    assert place[0] == "wsss init FOLDER --recipe photos"
    assert place[-1].startswith("wsss predict artifacts/student.pt FOLDER -o")
