"""The table of a workbook (`.xlsx`), as text: what a spreadsheet shows, cell by cell."""

from __future__ import annotations

import datetime
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from wsss.core.errors import EnvError, UserError
from wsss.data.codec import check_file
from wsss.formats.raw import MAX_TEXT

Rows = list[tuple[int, list[str]]]
"""Rows that are not empty, by their number in the sheet."""


def read_sheet(path: Path, is_table: Any) -> tuple[str, Rows]:
    """The name and the rows of the one sheet whose first row `is_table` (a function of its cells) takes for a heading.

    Without any such sheet, the first one that is not empty. Raises `UserError` for several, and for a file that is no
    workbook, `EnvError` without openpyxl.
    """
    try:
        from openpyxl import load_workbook
    except ModuleNotFoundError as error:
        what = "reading a workbook needs the package openpyxl, which is not installed"
        raise EnvError(path, what, "pip install 'wsss[xlsx]'; or save the table as CSV") from error
    try:
        check_file(path, MAX_TEXT)
        with zipfile.ZipFile(path) as archive:
            if sum(part.file_size for part in archive.infolist()) > MAX_TEXT:
                raise UserError(path, "holds more than a table of tags can", "save the table alone, as CSV")
        book = load_workbook(path, read_only=True, data_only=True)
        sheets = {sheet.title: _rows(sheet.iter_rows(values_only=True)) for sheet in book.worksheets}
        book.close()
    except UserError:
        raise
    except FileNotFoundError as error:
        fix = "correct the path in params.yaml, section dataset"
        raise UserError(path, f"cannot be read ({error.strerror})", fix) from error
    except Exception as error:  # of zip, of XML, and of openpyxl itself: they have no common type
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:120]
        raise UserError(path, f"not a workbook, or damaged ({reason})", "save it again as .xlsx, or as CSV") from error
    filled = {title: rows for title, rows in sheets.items() if rows}
    tables = [title for title, rows in filled.items() if is_table(rows[0][1])]
    if len(tables) > 1:
        what = f"{len(tables)} sheets may hold the tags: {' and '.join(map(repr, tables))}"
        raise UserError(path, what, "delete the others, or save the right one as CSV")
    chosen = next(iter(tables or filled), "")
    return chosen, filled.get(chosen, [])


def _rows(cells: Iterable[Iterable[Any]]) -> Rows:
    found = []
    for number, row in enumerate(cells, start=1):
        texts = [_text(cell) for cell in row]
        while texts and not texts[-1].strip():
            texts.pop()
        if texts:
            found.append((number, texts))
    # A spreadsheet leaves the empty cells at the end of a row away.
    width = len(found[0][1]) if found else 0
    return [(number, row + [""] * (width - len(row))) for number, row in found]


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime.datetime) and cell.time() == datetime.time():
        return cell.date().isoformat()
    return str(cell)
