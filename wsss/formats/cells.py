"""What a cell of a tag table says: tags that are joined in it, yes or no; and tags that hardly name a class."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from wsss.formats.raw import is_background

_YES = "1 1.0 1,0 true t yes y x ja j wahr oui vrai si sí sì verdadero vero sim verdadeiro ✓ ✔ ☑"
_NO = "0 0.0 0,0 false f no n nein falsch non faux falso não nao ✗ ✘ ☐"
YES, NO = frozenset(_YES.split()), frozenset(_NO.split()) | {""}

_DOUBT = "? -1 -1.0 -1,0 maybe perhaps possibly unsure vielleicht peut-être quizás forse talvez"
DOUBT = frozenset(_DOUBT.split())
"""What people write where they cannot say: the column asks for yes and no all the same."""
_COUNT = re.compile(r"(\d{1,6})([.,]0+)?", re.ASCII)
"""A whole number, also as spreadsheets write it. What is longer is a date, or a number that some register gives."""

_QUOTED = r"""(?:'[^']*'|"[^"]*")"""
_LIST = re.compile(rf"[\[({{]\s*(?:{_QUOTED}\s*(?:,\s*{_QUOTED}\s*)*,?\s*)?[\])}}]")
"""A list of texts as Python and JSON write it, and so pandas."""
_NOTHING = "none nan null nil na nat n/a n.a. #n/a #na #null! <na> <none> <null> (none) - -- --- – — . ? ??"
_PLACEHOLDERS = frozenset(_NOTHING.split())
"""What programs and people write where there is nothing."""
_BRACKETS = re.compile(r"[\[\]{}<>\"]|^'|'$")
_SEPARATORS = re.compile(r"[/\\+&~:＋＆／：¦·・•،؛､﹐﹑]")
"""Marks that may join tags, and may be part of a name."""


def separate(cell: str) -> tuple[str, ...]:
    """The tags of a cell, each once: ``cow|grass``, ``cow;grass``, ``cow，grass`` or ``['cow', 'grass']``."""
    cell = cell.strip()
    if _LIST.fullmatch(cell):
        parts = [quoted[1:-1] for quoted in re.findall(_QUOTED, cell)]
    elif "|" in cell or "｜" in cell:
        parts = re.split("[|｜]", cell)  # a bar settles it: then `,` and `;` may be part of a name
    else:
        parts = re.split("[;,；，、\n\r\t]", cell)
    tags = dict.fromkeys(part.strip() for part in parts)
    return tuple(tag for tag in tags if tag and not is_background(tag))


def is_binary(cells: Iterable[str]) -> bool:
    """True if every cell says yes or no, and not all are empty."""
    folded = {cell.strip().casefold() for cell in cells}
    return folded <= YES | NO and bool(folded - {""})


def is_yes(cell: str) -> bool:
    """True for a word for yes, and for a count from one on."""
    word = cell.strip().casefold()
    return word in YES or _count(word) > 0


def is_answer(cell: str) -> bool:
    """True for what says yes or no: a word, a count, or nothing."""
    word = cell.strip().casefold()
    return word in YES | NO or _count(word) >= 0


def answers(cells: Iterable[str]) -> bool:
    """True if a column says of each photo whether it shows a class: at least half of what stands there are yes, no,
    counts or doubts. It is false for numbers that all photos have, such as a year; true for a column without a cell.
    """
    given = list(cells)
    found = [cell for cell in given if cell.strip()]
    said = [cell for cell in found if is_answer(cell) or cell.strip().casefold() in DOUBT]
    return 2 * len(said) >= len(found) and not is_numbers(given)


def is_numbers(cells: Sequence[str]) -> bool:
    """True if every row has a number and fewer than half have a 1: a year, a plot, a size, and hardly a count of what
    photos show.
    """
    counts = [_count(cell.strip()) for cell in cells]
    return bool(counts) and min(counts) > 0 and 2 * counts.count(1) < len(counts)


def says_yes_or_no(cells: Iterable[str]) -> bool:
    """True if a word for yes or no is among the cells."""
    return any(cell.casefold() in YES | NO for cell in cells if cell)


def in_most_rows(cells: Sequence[str]) -> bool:
    """True if more than half of the cells hold something."""
    return 2 * sum(map(bool, cells)) > len(cells)


def are_words(cells: Iterable[str]) -> bool:
    """True if most of the cells that hold something are words, of which there are several."""
    given = [cell for cell in cells if cell]
    found = [cell for cell in given if any(map(str.isalpha, cell))]
    return 2 * len(found) > len(given) and len({*found}) > 1


def _count(word: str) -> int:
    """The whole number that `word` is; -1 if it is none."""
    found = _COUNT.fullmatch(word)
    return int(found[1]) if found else -1


def wrong_names(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Tags that are no names of classes, each with what it is instead."""
    given = list(names)
    # `x` and `y` alone may be classes; beside a word for no, a letter is one for yes.
    binary = is_binary(given) and (any(map(_is_word, given)) or any(name.casefold() in NO for name in given))
    for name in given:
        if binary:
            yield name, "yes or no"
        elif name.casefold() in _PLACEHOLDERS:
            yield name, "a sign for nothing"
        elif _BRACKETS.search(name) or name.count("(") != name.count(")"):
            yield name, "a name with brackets or quotes"


def is_slip(word: str, meant: str) -> bool:
    """True for a short word that is one slip of the fingers away from another: two neighbours in each other's place, a
    letter too many or too few, or, from four letters on, another letter than the first.
    """
    a, b = word.casefold(), meant.casefold()
    if a == b or min(len(a), len(b)) < 3 or abs(len(a) - len(b)) > 1:
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    if len(a) != len(b):
        short, long = sorted((a, b), key=len)
        return short[start:] == long[start + 1 :]
    exchanged = a[start : start + 2] == b[start : start + 2][::-1] and a[start + 2 :] == b[start + 2 :]
    return exchanged or (len(a) > 3 and start > 0 and a[start + 1 :] == b[start + 1 :])


def _is_word(name: str) -> bool:
    return len(name) > 1 or not name.isalpha()


def bare_numbers(names: Iterable[str]) -> list[str]:
    """Names that are numbers: places in a list of classes, or counts."""
    return [name for name in names if re.fullmatch(r"[+-]?\d+([.,]\d+)?", name)]


def joined_names(names: Iterable[str]) -> list[str]:
    """Names that hold a mark which may separate two tags, as ``cat/dog`` does."""
    return [name for name in names if len([part for part in _SEPARATORS.split(name) if part.strip()]) > 1]
