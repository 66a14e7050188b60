"""The page of `wsss predict`: every photo with its overlay, those to look at first, and what is given is only text."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from tests.toy_browser import CHROMIUM, acted
from tests.unit.report.test_gallery import IMG, SCRIPT, parse
from wsss.commands.predict_told import report_text
from wsss.core.errors import IntegrityError
from wsss.data.palette import display_palette
from wsss.data.render import css_colour
from wsss.export.only import read_names
from wsss.predict.doubted import Doubted
from wsss.predict.folder import Folder
from wsss.predict.made import LABELS, PHOTOS, make
from wsss.predict.note import write_note
from wsss.predict.run import Outcome
from wsss.predict.segmenter import Segmentation
from wsss.report.found_page import write_page

CLASSES = ("background", SCRIPT, "cow")


def segmented(*rows: int) -> Segmentation:
    """Of 10 rows so many of class 0, 1, 2."""
    label = np.repeat(np.arange(len(rows), dtype=np.uint8), rows)[:, None].repeat(20, axis=1)
    return Segmentation(np.zeros((10, 20, 3), np.uint8), label, np.ones((10, 20), np.float16), CLASSES)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path / "it's out", {"classes": list(CLASSES)})
    made.open(force=False)
    for name, rows in {"good": (6, 4), f"bad {IMG}": (0, 10), "worse": (0, 0, 10)}.items():
        made.put(name, f"{name}.jpg", make(segmented(*rows), "0" * 64, 64, (1,)))
    made.put("plain", "plain.jpg", make(segmented(10), "0" * 64, None, None))
    made.write_table()
    return made


def test_worst_first_with_reasons_and_shares(folder: Folder) -> None:
    page = parse(write_page(folder).parent)
    order = ["Look at these first", "worse", f"bad {IMG}", "The others", "good"]
    text = page.text[page.text.rindex("Skip to") :]
    places = [text.index(name, text.index("Look at these first 2") if name != order[0] else 0) for name in order]
    assert places == sorted(places)
    assert "plain" not in [found["title"] for found in page.all("h3")]  # it has no pictures
    for reason in ("cow is no tag and covers 100 %", f"{SCRIPT} covers 100 %", "60.0\u00a0%", "40.0\u00a0%"):
        assert reason in page.text


def test_where_no_photo_has_a_reason_the_heading_says_so(tmp_path: Path) -> None:
    made = Folder(tmp_path / "out", {"classes": list(CLASSES)})
    made.open(force=False)
    made.put("good", "good.jpg", make(segmented(6, 4), "0" * 64, 64, (1,)))
    made.write_table()
    page = parse(write_page(made).parent)
    assert "None is conspicuous 1" in " ".join(page.text.split())
    assert "The others" not in page.text
    assert "1 photo with its mask." in page.text
    outcome = Outcome(["good"], [], {})
    assert "\nnone of 1 photo is conspicuous (column look of the table)\nnext: wsss export --to cvat " in report_text(
        made.path, made, outcome, None
    )


def test_pictures_are_the_overlays_in_the_folder(folder: Folder) -> None:
    page = parse(write_page(folder).parent)
    images = [found for found in page.all("img") if "src" in found]
    assert len(images) == 6
    for number, found in enumerate(images):
        with Image.open(folder.path / unquote(str(found["src"]))) as image:
            # The same for both, so that they lie on each other in the viewer.
            assert (str(image.width), str(image.height)) == (found["width"], found["height"]) == ("20", "10")
            coloured = np.asarray(image).max() > 40
        assert str(found["alt"]).startswith("Mask of " if number % 2 else "Photo of ")
        assert coloured == bool(number % 2)
    links = [found for found in page.all("a") if "data-title" in found]
    assert [(found["data-title"], found["data-classes"]) for found in links[:2]] == [("Photo", ""), ("Mask", "2")]
    for path in (folder.path / "overlays").iterdir():
        with Image.open(path) as image:
            assert image.height > 10  # the names of the classes below


def test_a_photo_to_look_at_shows_its_pseudo_label(folder: Folder) -> None:
    other = np.full((5, 10), 2, np.uint8)
    folder.put("differs", "differs.jpg", make(segmented(0, 10), "0" * 64, 64, (1,), other))
    folder.put("agrees", "agrees.jpg", make(segmented(6, 4), "0" * 64, 64, (1,), segmented(6, 4).label))
    page = parse(write_page(folder).parent)
    titles = [str(found["alt"]) for found in page.all("img") if "src" in found]
    captions = [title.split(" of ")[0] for title in titles]
    assert re.findall("<figcaption>(.+?)</figcaption>", (folder.path / "index.html").read_text()) == captions
    assert [title for title in titles if title.startswith("Pseudo-label")] == ["Pseudo-label of differs"]
    with Image.open(folder.picture(LABELS, "differs")) as image:
        assert image.size == (20, 10)
    folder.put("differs", "differs.jpg", make(segmented(0, 10), "1" * 64, 64, (1,)))
    assert not folder.picture(LABELS, "differs").exists()
    folder.put("differs", "differs.jpg", make(segmented(0, 10), "0" * 64, 64, (1,), other))
    folder.write_table()
    folder.open(force=True)
    assert not folder.picture(LABELS, "differs").exists()


def test_the_legend_names_what_only_the_pseudo_label_shows(folder: Folder) -> None:
    other = np.full((5, 10), 255, np.uint8)
    other[0] = 2
    folder.put("differs", "differs.jpg", make(segmented(0, 10), "0" * 64, 64, (1,), other))
    text = write_page(folder).read_text(encoding="utf-8")
    (card,) = (each for each in re.findall("<article.*?</article>", text, re.DOTALL) if 'title="differs"' in each)
    legend = card[card.rindex("<ul") :]
    assert re.findall(r'data-number="(\d+)"', legend) == ["1", "2", "255"]
    assert "cow <b>only in the pseudo-label</b>" in legend
    assert '<i class="hatch"></i>no label' in legend
    assert 'data-title="Pseudo-label" data-note="" data-classes="2 255"' in card
    assert text.count("no label (of a pseudo-label)") == 1
    with Image.open(folder.picture(LABELS, "differs")) as image:
        image.save(folder.picture(LABELS, "differs"), comment=b"2 x 9 17 255")  # of which none is a class but 2
    assert write_page(folder).read_text(encoding="utf-8") == text
    with Image.open(folder.picture(LABELS, "differs")) as image:
        image.save(folder.picture(LABELS, "differs"), comment=b"")  # of an earlier wsss
    text = write_page(folder).read_text(encoding="utf-8")
    assert ("only in the pseudo-label" in text, "no label (" in text) == (False, False)


def test_the_page_names_its_origin(folder: Folder) -> None:
    assert 'id="made"' not in write_page(folder).read_text(encoding="utf-8")
    network = {"file": f"{IMG}.pt", "sha256": "ab" * 32, "data set": "2 train photos of cow", "scores": "mIoU 61.25 %"}
    write_note(folder.path, "f", {"model": network, "how": "scale 1, as the model was evaluated"}, "none known", 3)
    page = parse(write_page(folder).parent)
    told = " ".join(page.text.split())
    assert f"Made by {IMG}.pt, mIoU 61.25 %" in told
    for line in (
        "2 train photos of cow",
        "scale 1, as the model was evaluated",
        "commit ",
        "not heeded by these masks",
    ):
        assert line in told
    assert len(page.all("script")) == 1
    write_note(folder.path, "g", {"model": {"file": "alone.onnx"}, "how": "scale 1"}, "none known", 3)
    assert "<summary>Made by alone.onnx</summary>" in write_page(folder).read_text(encoding="utf-8")
    write_note(folder.path, "h", {"model": {}, "how": "scale 1"}, "none known", 3)
    assert "Made by a network without a name" in write_page(folder).read_text(encoding="utf-8")


def test_known_tags_are_beside_their_photo(folder: Folder) -> None:
    folder.put("none", "none.jpg", make(segmented(10), "0" * 64, 64, ()))
    folder.put("unknown", "unknown.jpg", make(segmented(10), "0" * 64, 64, None))
    text = parse(write_page(folder).parent).text
    assert text.count(f"tags: {SCRIPT}") == 3
    assert text.count("tags: none") == 1
    assert text.count("tags: ") == 4


def test_legend_has_the_colours_of_the_overlays(folder: Folder) -> None:
    styles = [str(found["style"]) for found in parse(write_page(folder).parent).all("i") if "style" in found]
    colours = [f"--colour:{css_colour(colour)}" for colour in display_palette()[1:3]]
    assert styles[:3] == ["--colour:transparent", *colours]


def test_names_are_text_and_the_page_is_its_own(folder: Folder) -> None:
    page = parse(write_page(folder).parent)
    assert len(page.all("script")) == 1
    assert not [name for _, found in page.elements for name in found if name.startswith("on")]
    folder.open(force=False, page=True)  # it may be replaced
    places = {found["id"] for _, found in page.elements if "id" in found}
    assert {str(found["href"])[1:] for found in page.all("a") if str(found["href"]).startswith("#")} <= places


def test_what_was_edited_is_among_the_others_and_can_be_chosen(folder: Folder) -> None:
    before = write_page(folder).read_text(encoding="utf-8")
    assert ('data-only="hand"' in before, "data-hand" in before) == (False, False)
    folder.show("worse", ["0.5", "0.5", "0"], {})
    folder.write_table()
    text = write_page(folder).read_text(encoding="utf-8")
    (card,) = re.findall(r"<article[^>]* data-hand>.*?</article>", text, re.DOTALL)
    assert text.index("The others <small>2") < text.index(card)
    for shown in ('title="worse"', "edited by hand", "50.0\u00a0%", 'data-classes="0 1" data-confidence=""'):
        assert shown in card
    assert 'class="why"' not in card
    assert 'data-only="hand"' in text


def test_classes_of_the_verdict_are_told_once(folder: Folder) -> None:
    assert 'id="doubted"' not in write_page(folder).read_text(encoding="utf-8")
    page = parse(write_page(folder, Doubted({"cow": "doubtful", SCRIPT: "less sure"}, "reports")).parent)
    told = f"Classes that the verdict (reports) calls doubtful: cow; less sure: {SCRIPT} (look at some photos of each"
    assert page.text.count(told) == 1
    assert "that the verdict calls" not in page.text
    assert len(page.all("script")) == 1


def test_the_page_says_whether_its_masks_heed_tags_as_those_of_a_gallery_do_not(folder: Folder) -> None:
    without = parse(write_page(folder).parent).text
    assert "These masks heed no tags, as predictions in a gallery" in without
    assert "Mask heeds the tags" not in without
    folder.settings = {**folder.settings, "tags": "0123"}
    folder.show("worse", ["0.5", "0.5", "0"], {})  # a person has changed it
    page = parse(write_page(folder).parent).text
    assert "Predictions in a gallery are the network's alone, made without tags, so of the same photo they may" in page
    assert page.count("Mask heeds the tags") == 2  # of 3


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_three_pictures_stand_in_one_row_and_on_a_telephone_in_two(folder: Folder) -> None:
    folder.put("differs", "differs.jpg", make(segmented(0, 10), "0" * 64, 64, (1,), np.full((5, 10), 2, np.uint8)))
    script = """
      const card = all("article").find((each) => each.querySelector("h3").title === "differs");
      const panels = card.querySelector(".panels");
      const rows = [608, 340].map((width) => {
        panels.style.width = `${width}px`;
        return new Set([...panels.children].map((each) => Math.round(each.getBoundingClientRect().top))).size;
      });
      return [panels.children.length, ...rows];
    """
    assert acted(write_page(folder), script) == [3, 1, 2]


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_marks_are_kept_and_become_a_command(folder: Folder, tmp_path: Path) -> None:
    """By a button, by the key over a photo and in the enlarged picture; then the page is loaded again."""
    folder.put("it's $HOME", "a.jpg", make(segmented(6, 4), "0" * 64, 64, (1,)))
    page = write_page(folder)
    script = """
      const card = (name) => all("article").find((each) => each.querySelector("h3").title === name);
      if (step) {
        all("[data-only=marked]")[0].click();
        return [all("#correct code")[0].textContent, all("#correct b")[0].textContent,
          all("article:not([hidden]) h3").map((each) => each.title)];
      }
      press("x");  // over no photo
      card("good").querySelector(".mark").click();
      card("worse").dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
      press("x");
      const search = all("#tools input")[0];
      search.dispatchEvent(new KeyboardEvent("keydown", { key: "x", bubbles: true }));
      card("worse").querySelector("a").click();
      press("x");  // not any more
      while (!all("dialog h2")[0].textContent.startsWith("it's")) press("ArrowRight");
      press("x");
      again();
    """
    command, count, shown = acted(page, script)
    assert (count, sorted(shown)) == ("2 to correct", ["good", "it's $HOME"])
    done = 'wsss() { printf "%s\\n" "$@"; }\n' + command
    words = subprocess.run(["bash", "-c", done], check=True, capture_output=True, text=True).stdout.splitlines()
    assert words == [
        *("export", "--to", "cvat", "--force", "--only"),
        f"{folder.path}/to_correct.txt",
        str(folder.path),
        "to_correct.zip",
    ]
    assert sorted(read_names(folder.path / "to_correct.txt")) == ["good", "it's $HOME"]


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_search_classes_and_order(folder: Folder) -> None:
    script = """
      const names = () => all("article:not([hidden]) h3").map((each) => each.title), found = [];
      const search = all("#tools input")[0], order = all("#tools select")[0];
      search.value = "GOO"; search.dispatchEvent(new Event("input")); found.push(names());
      search.value = ""; search.dispatchEvent(new Event("input")); found.push(names());
      all("#legend [data-number='2']")[0].click(); found.push(names(), all("#found")[0].textContent);
      found.push(all("h2").map((each) => each.textContent.trim()));
      all("#legend [data-number='2']")[0].click();
      order.value = "name 1"; order.dispatchEvent(new Event("change")); found.push(names());
      return found;
    """
    by_name, everything, of_cows, count, headings, ordered = acted(write_page(folder), script)
    assert by_name == ["good"]
    assert everything == ["worse", f"bad {IMG}", "good"]
    assert (of_cows, count) == (["worse"], "1 photo shown")
    assert " ".join(headings[0].split()) == "Look at these first 2 1 of these 2 with cow"
    assert ordered == [f"bad {IMG}", "worse", "good"]  # of each group


def test_damaged_files_are_told(folder: Folder) -> None:
    folder.picture(PHOTOS, "good").write_bytes(b"no")
    with pytest.raises(IntegrityError, match="not a photo"):
        write_page(folder)
    folder.rows["good"][5] = "high"
    with pytest.raises(IntegrityError, match="a row cannot be read"):
        write_page(folder)
