"""The lines of a table as people save it: a workbook, or text of any usual delimiter and encoding."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from wsss.core.errors import UserError
from wsss.formats.headings import names_photos
from wsss.formats.raw import read_text
from wsss.formats.sheets import read_sheet

_SAID = re.compile(r"\s*\"?sep=(.)\"?[ \t]*\r?\n", re.IGNORECASE)
"""Excel's own first line, `sep=;`: no header."""


@dataclass(frozen=True)
class Dialect:
    """How the text of a table is written. `before`: Excel's first line with its end, if there is one."""

    delimiter: str = ","
    newline: str = "\n"
    before: str = ""


def dialect_of(text: str) -> Dialect:
    """The dialect of a table: as its first line says, else with the most frequent of ``, ; tab`` in its heading."""
    said = _SAID.match(text)
    newline = "\r\n" if "\r\n" in text else "\n"
    return Dialect(said[1] if said else _delimiter(text), newline, said[0] if said else "")


def read_lines(path: Path) -> tuple[list[str], list[tuple[int, list[str]]], str]:
    """The header, by line the rows that are not empty, and the name of the sheet, if there are any; without the empty
    cells that spreadsheets put at the ends of rows.

    Raises `UserError` if it is no table, `EnvError` for a workbook without openpyxl.
    """
    if path.suffix.lower() == ".xlsx":
        sheet, found = read_sheet(path, names_photos)
        header = [cell.strip() for cell in found[0][1]] if found else []
        return header, found[1:], sheet
    text = read_text(path)
    dialect = dialect_of(text)
    body = text[len(dialect.before) :]
    reader = csv.reader(io.StringIO(body, newline=""), delimiter=dialect.delimiter, strict=True)
    before = dialect.before.count("\n")
    rows: list[tuple[int, list[str]]] = []
    try:
        header = [cell.strip() for cell in next(filter(None, reader), [])]
        for row in reader:
            if any(cell.strip() for cell in row):
                while len(row) > len(header) and not row[-1].strip():
                    row.pop()
                rows.append((reader.line_num + before, row))
    except csv.Error as error:
        # `strict` makes an unclosed quote an error; otherwise it would swallow the rest of the file.
        where = f"{path}:{reader.line_num + before}"
        raise UserError(where, f"not valid CSV ({error})", "close the quotes") from error
    return header, rows, ""


def _delimiter(text: str) -> str:
    """Quoted cells count for nothing."""
    first = re.sub('"[^"]*"', "", text.strip().splitlines()[0]) if text.strip() else ""
    return max(",;\t", key=first.count)
