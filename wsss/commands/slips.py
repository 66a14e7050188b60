"""Where the tags stand that look misspelt: their lines in the table of tags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from wsss.core.errors import WsssError
from wsss.formats.build import Survey
from wsss.formats.class_folders import FOLDERS
from wsss.formats.problems import Finding, some
from wsss.formats.settings import DatasetSettings
from wsss.formats.tagfile import read_tag_file

MISSPELT, CORRECT = "rare classes whose names resemble frequent ones: ", "correct these tags"
"""How the finding of `formats.health` begins, and its fix: that is code of stage `index`, and has read no table."""


def with_lines(findings: Sequence[Finding], survey: Survey, settings: DatasetSettings) -> list[Finding]:
    """`findings`, and in the fix of misspelt tags the lines of the table that have them, where a table has the tags."""
    return [
        replace(each, fix=each.fix.replace(CORRECT, f"{CORRECT} ({places})", 1))
        if each.what.startswith(MISSPELT) and (places := _places(each.what.removeprefix(MISSPELT), survey, settings))
        else each
        for each in findings
    ]


def _places(listed: str, survey: Survey, settings: DatasetSettings) -> str:
    """``tags.csv: shep in line 12, cwo in lines 3, 9`` of the classes that are `listed` as ``shep (1, photo) = …``."""
    parts = listed.split("?, ")
    names = [name for name in survey.index.classes[1:] if any(part.startswith(f"{name} (") for part in parts)]
    if settings.format == "coco" or settings.tags in (FOLDERS, "xml") or settings.tags.endswith(".npy"):
        return ""
    try:
        table = read_tag_file(settings.tags_path, [], settings.headings, (), settings.dropped)
    except WsssError:
        return ""
    if table.wide:
        return f"{table.path.name}: headings of line 1"
    lines = {name: [row.line for row in table.rows if _has(row.tags, name)] for name in names}
    told = [f"{name} in line{'s' if len(found) > 1 else ''} {some(map(str, found))}" for name, found in lines.items()]
    return f"{table.path.name}: {', '.join(told)}"


def _has(tags: Sequence[str], name: str) -> bool:
    """Whether a row's `tags` have the class, in whatever capital letters."""
    return any(tag.casefold() == name.casefold() for tag in tags)
