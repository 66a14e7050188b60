"""How a data set was read, in lines for a person; and what to ask about names that a list gives its classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from wsss.formats.cells import (
    are_words,
    bare_numbers,
    in_most_rows,
    is_answer,
    is_binary,
    is_numbers,
    joined_names,
    wrong_names,
)
from wsss.formats.columns import Columns, column
from wsss.formats.problems import Finding, some
from wsss.formats.raw import Listing

DRAWN = "drawn"
"""Where a split comes from that no list and no folder says."""


def photos_line(photos: Listing) -> str:
    """How many photos each folder holds."""
    folders = Counter(str(PurePosixPath(path).parent) for paths in photos.paths.values() for path in paths)
    places = [f"{folder}/ ({count})" for folder, count in sorted(folders.items())]
    return f"photos: {sum(folders.values())} in {some(places)}"


def classes_line(classes: Sequence[str], source: str) -> str:
    """The classes, and what names them."""
    return f"classes: {len(classes) - 1} of {source}: {some(classes[1:], 10)}"


def splits_line(origins: Iterable[str], val_fraction: float) -> str:
    """What says the photos' splits: `origins`, one a photo; `DRAWN` for those that are drawn."""
    counts = Counter(origins)
    drawn = f"drawn, {val_fraction:g} of them for val (dataset.val_fraction)"
    parts = [f"{drawn if origin == DRAWN else origin} ({count} photos)" for origin, count in counts.items()]
    return f"splits: {', '.join(parts) or 'none'}"


def masks_line(folder: str, masks: Mapping[str, str], photos: int) -> str:
    """How many photos have a mask."""
    return f"masks: {folder}, for {len(masks)} of {photos} photos" if folder else "masks: none"


def name_findings(classes: Sequence[str], declared: bool) -> list[Finding]:
    """What to ask about names of classes, which no file of classes vouches for. `declared`: a list has defined them."""
    keep = "else, to keep them, list all classes in a file and set dataset.classes to it"
    found = []
    if numbers := bare_numbers(classes[1:]):
        what = f"classes that are numbers: {some(numbers)}"
        found.append(Finding(what, f"if they stand for names, or count something, write the names; {keep}"))
    if joined := joined_names(classes[1:]):
        what = f"classes whose names hold a mark that may separate tags: {some(joined)}"
        found.append(Finding(what, f"if these are several tags, write | between them; {keep}"))
    if declared and (odd := [name for name, _ in wrong_names(classes[1:]) if name not in numbers]):
        what = f"classes whose names hardly are names: {some(map(repr, odd))}"
        found.append(Finding(what, "if they mean that there is nothing, delete them; else nothing has to be done"))
    return found


def unread_findings(
    columns: Columns, rows: Sequence[Sequence[str]], path: Path, dropped: Collection[str] = ()
) -> Iterator[Finding]:
    """What to ask about columns that are not read and may be meant all the same; but for `dropped` ones."""
    titles = {i: columns.header[i] for i in columns.unread if columns.header[i] and columns.header[i] not in dropped}
    cells = {title: column(rows, i) for i, title in titles.items()}
    if columns.tags:
        if binary := [title for title, found in cells.items() if is_binary(found)]:
            tags = columns.header[columns.tags[0]]
            what = f"{path.name}: columns of yes and no are not read, because column {tags!r} has the tags"
            fix = f"if these are the classes, delete column {tags!r}; else nothing has to be done"
            yield Finding(f"{what}: {some(binary)}", fix)
        return
    numbers = [title for title, found in cells.items() if is_numbers(found)]
    words = [title for title, found in cells.items() if are_words(found) and in_most_rows(found)]
    parts = [title for title, found in cells.items() if title not in (*numbers, *words) and _may_answer(found)]
    if numbers:
        what = f"{path.name}: columns with a number in every row are not read as classes: {some(numbers)}"
        fix = "if they count what photos show, list all classes in a file and set dataset.classes to it"
        yield Finding(what, f"{fix}; else nothing has to be done")
    if words:
        what = f"{path.name}: columns of words are not read, because other columns say yes or no: {some(words)}"
        fix = "if one of them has the tags, set dataset.tag_column to its heading; else nothing has to be done"
        yield Finding(what, fix)
    if parts:
        what = f"{path.name}: columns that are not read, though some of their cells may mean yes: {some(parts)}"
        yield Finding(what, "if they are classes, write 1 or 0 into their cells; else nothing has to be done")


def _may_answer(cells: Sequence[str]) -> bool:
    """True for cells of which some say yes or no, and for one word or mere signs, which may be a yes in another way."""
    found = [cell for cell in cells if cell]
    alike = len({*found}) == 1 and not any(map(str.isdigit, found[0]))
    return any(map(is_answer, found)) or alike or not any(map(str.isalnum, "".join(found)))
