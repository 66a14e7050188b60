"""CSV as every stage writes it: UTF-8, ``\\n``, no timestamps, so that equal results are equal bytes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows under a header."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue()


def history_csv(history: Sequence[Mapping[str, float]]) -> str:
    """One row per epoch; whole numbers stay whole, others get six significant digits."""
    header = list(history[0]) if history else []
    return csv_text(header, [[_number(row[name]) for name in header] for row in history])


def yes_no(flag: bool) -> str:
    """``yes`` or ``no``."""
    return "yes" if flag else "no"


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:.6g}"
