"""The commands that a Markdown page shows: lines of console blocks, and `inline code`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAGES = ("README.md", "CONTRIBUTING.md", "data/*.md", "docs/*.md", "docs/*/*.md")
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"(?<!`)`(?P<code>[^`]+)`(?!`)")
COMMAND = re.compile(r"^\$ (?P<command>(?:[^\n]*\\\n)*[^\n]*)(?:\n|\Z)", re.MULTILINE)


@dataclass(frozen=True)
class Line:
    """A command as `page` shows it at `line` (from 1); `whole`: in a block to be typed, not a mention in the text."""

    page: str
    line: int
    command: str
    whole: bool


def pages(root: Path) -> list[Path]:
    """All pages of the repository at `root`, whose commands have to be true."""
    return sorted(path for pattern in PAGES for path in root.glob(pattern))


def commands(page: str, text: str) -> Iterator[Line]:
    """Every command line of `text`: after ``$`` in console blocks, else in inline code, where it may be partial."""
    for fence in FENCE.finditer(text):
        if fence["language"] in ("console", "bash"):
            body = fence["body"].replace(f"\n{fence['indent']}", "\n").removeprefix(fence["indent"])
            for found in COMMAND.finditer(body):
                line = text.count("\n", 0, fence.start()) + body.count("\n", 0, found.start()) + 2
                yield Line(page, line, found["command"].replace("\\\n", " "), whole=True)
    prose = FENCE.sub(lambda fence: "\n" * fence[0].count("\n"), text)
    for found in INLINE.finditer(prose):
        line = prose.count("\n", 0, found.start()) + 1
        yield Line(page, line, " ".join(found["code"].split()), whole=False)
