"""Commands in the documentation are those of this version: every one is parsed, none is run."""

from __future__ import annotations

import pytest

from manual import check
from manual.blocks import commands, pages
from tests.helpers import REPO

PAGES = {path.relative_to(REPO).as_posix(): path for path in pages(REPO)}


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_is_understood(page: str) -> None:
    assert not check.problems(page, PAGES[page].read_text(encoding="utf-8"))


def test_pages_of_every_part_are_looked_at() -> None:
    assert {"README.md", "CONTRIBUTING.md", "docs/quickstart.md", "docs/howto/share.md", "data/README.md"} <= set(PAGES)
    text = PAGES["docs/quickstart.md"].read_text(encoding="utf-8")
    whole = [line.command for line in commands("page", text) if line.whole]
    assert {"dvc repro gallery", "wsss check", "python -m pipeline.evaluate"} <= set(whole)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("wsss chekc", "no command 'chekc'"),
        ("wsss labels export", "no command 'export'"),
        ("wsss predict m.pt photos -o out --overlay-widht 3", "No such option"),
        ("wsss predict m.pt -o out", "lacks PHOTOS"),
        ("wsss predict m.pt photos", "lacks -o"),
        ("wsss export --to tiff a b", "is not one of"),
        ("wsss verify a b", "does not take b"),
        ("WSSS_WORKERS=0 python -m wsss inspect", "lacks PATH"),
        ("cd x && wsss plan --minutes", "No such option"),
        ("python -m pipeline.pretrian", "no module pipeline.pretrian"),
        ("python -m pipeline.cams --patams x", "No such option"),
        ("python -m experiments zoos x", "is not one of"),
        ("python -m experiments zoo x --recipe slow", "is not one of"),
        ("dvc exp run -S '++correct.gmm.laed=1'", "no setting correct.gmm.laed"),
        ("make repo", "no target repo"),
    ],
)
def test_a_command_of_another_version_is_named(command: str, reason: str) -> None:
    found = check.problems("page.md", f"Text.\n\n```console\n$ ls\n$ {command}\n```\n")
    assert len(found) == 1
    assert found[0].startswith("page.md:5: ")
    assert reason in found[0]


@pytest.mark.parametrize(
    "command",
    [
        "wsss tag --help",
        "wsss predict student.pt one.jpg two.jpg -o out --scales 0.75,1 --no-crf",
        "wsss init FOLDER --recipe NAME",
        "dvc exp run -n x -S '++evaluate.crf.iterations=3' -S dataset.root=/photos",
        "make torture MINUTES=3",
        "cut -d, -f1 x | head -2",
    ],
)
def test_a_command_of_this_version_is_no_problem(command: str) -> None:
    assert not check.problems("page.md", f"```console\n$ {command}\n```\n")


def test_mentions_in_the_text_may_be_partial_but_not_wrong() -> None:
    assert not check.problems("page.md", "`wsss predict --crf` and `wsss …`\n")
    found = check.problems("page.md", "One.\n\nIn `wsss predict --crfs` it\n")
    assert len(found) == 1
    assert found[0].startswith("page.md:3: wsss predict --crfs: No such option")
