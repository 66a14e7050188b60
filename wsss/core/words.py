"""Numbers with their nouns."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """``1 photo``, ``2 photos``; `noun` in the singular, of those whose plural ends in s."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
