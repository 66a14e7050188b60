"""Where masks of `wsss predict` come from, and in what they are not what was scored."""

from __future__ import annotations

from typing import Any

import pytest

from wsss.predict.table import Row
from wsss.report.origin import made_by, origin

VERSIONS = {"wsss": "0.1.0", "torch": "2.13", "python": "3.11"}
NETWORK = {"file": "student.pt", "sha256": "a" * 64, "scores": "mIoU 52.65 %"}


def note(how: str = "scale 1, as the model was evaluated") -> dict[str, Any]:
    runs = [{"at": f"day {n}", "photos": n, "tags": "many", "commit": "abc", "versions": VERSIONS} for n in (1, 2)]
    return {"model": dict(NETWORK), "how": how, "runs": runs}


def row(*tags: str) -> Row:
    return Row("a", 0.5, (), tags, (1.0,))


def test_masks_that_heed_tags_are_not_what_was_scored() -> None:
    settings = {"tags": "0123", "min_area": "0.1%"}
    found = origin(note(), settings, [row("cow"), row("none"), row()])
    assert found["how"] == "scale 1, as the model was evaluated, except for tags and small pieces (min_area 0.1%)"
    assert found["tags"] == (
        "known of 2 of 3 photos, whose masks show no class that they deny; the network was scored without tags, so its "
        "scores are not of these masks"
    )
    assert found["runs"]["day 1"] == "1 mask made by commit abc, wsss 0.1.0, torch 2.13; tags: many"


@pytest.mark.parametrize("how", ["scale 1, as the model was evaluated", "scale 1; the model was evaluated at 2"])
def test_masks_without_tags_may_be(how: str) -> None:
    found = origin(note(how), {"min_area": "0"}, [row("cow")])
    assert (found["how"], found["tags"]) == (how, "not heeded by these masks, and not by those that were scored")


def test_a_page_names_no_time() -> None:
    found = made_by(note(), {}, [row()])
    assert list(found) == ["network", "checksum", "scores", "how", "tags", "masks made by"]
    assert (found["network"], found["checksum"]) == ("student.pt", "a" * 16)
    assert found["masks made by"] == "commit abc, wsss 0.1.0, torch 2.13"
    assert "day" not in "".join(found.values())


@pytest.mark.parametrize("broken", [{}, {"runs": [], "model": 3}, {"runs": [3], "model": {}, "how": ""}])
def test_what_cannot_be_read_is_unknown(broken: dict[str, Any]) -> None:
    assert origin(broken, {}, []) == made_by(broken, {}, []) == {}
    assert "network" not in made_by({"runs": [], "model": {}, "how": "?"}, {}, [])
