"""CSV as every stage writes it: UTF-8, ``\\n``, no timestamps, so that equal results are equal bytes.

A spreadsheet takes a cell that begins with ``=``, ``+``, ``-`` or ``@`` for a formula, and runs it. Names of classes
and photos come from anywhere, so such a cell gets an apostrophe in front, which `plain` takes away again.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
_NUMBER = re.compile(r"-(\d+(\.\d+)?(e[+-]?\d+)?|inf)")


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows under a header, none of them a formula."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(map(_harmless, header))
    writer.writerows(map(_harmless, row) for row in rows)
    return buffer.getvalue()


def plain(cell: str) -> str:
    """A cell of `csv_text` as it was given."""
    return cell.removeprefix("'")


def plain_rows(reader: Iterable[list[str]]) -> Iterator[list[str]]:
    """The rows of a `csv.reader` of such a table."""
    return ([plain(cell) for cell in row] for row in reader)


def _harmless(cell: object) -> object:
    dangerous = isinstance(cell, str) and cell.startswith(_FORMULA) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if dangerous else cell


def history_csv(history: Sequence[Mapping[str, float]]) -> str:
    """One row per epoch; whole numbers stay whole, others get six significant digits."""
    header = list(history[0]) if history else []
    return csv_text(header, [[_number(row[name]) for name in header] for row in history])


def yes_no(flag: bool) -> str:
    """``yes`` or ``no``."""
    return "yes" if flag else "no"


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:.6g}"
