"""The page of `wsss predict`: every photo with its overlay, those to look at first, and what is given is only text."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from tests.unit.report.test_gallery import IMG, SCRIPT, parse
from wsss.commands.predict import report_text
from wsss.core.errors import IntegrityError
from wsss.data.palette import display_palette
from wsss.data.render import css_colour
from wsss.predict.folder import Folder
from wsss.predict.made import LABELS, PHOTOS, make
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
    made = Folder(tmp_path / "out", {"classes": list(CLASSES)})
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
    assert report_text(made.path, made, outcome, None).endswith(
        "\nnone of 1 photo is conspicuous (column look of the table)"
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


def test_damaged_files_are_told(folder: Folder) -> None:
    folder.picture(PHOTOS, "good").write_bytes(b"no")
    with pytest.raises(IntegrityError, match="not a photo"):
        write_page(folder)
    folder.rows["good"][5] = "high"
    with pytest.raises(IntegrityError, match="a row cannot be read"):
        write_page(folder)
