"""docs/commands.md: the help of every command, as it is now."""

from __future__ import annotations

import subprocess
import sys

from manual import commands, diagrams
from tests.helpers import REPO

TEXT = (REPO / commands.PAGE).read_text(encoding="utf-8")


def test_the_page_has_every_command_once_as_it_is_now() -> None:
    assert commands.filled(TEXT) == TEXT, "python -m manual.commands"
    assert sorted(found["name"] for found in commands.BLOCK.finditer(TEXT)) == sorted(commands.names())


def test_the_help_is_what_a_terminal_shows() -> None:
    for name in ("wsss", "wsss labels import-masks"):
        arguments = [*name.split()[1:], "--help"]
        process = subprocess.run(
            [sys.executable, "-m", "wsss", *arguments], cwd=REPO, capture_output=True, text=True, check=True
        )
        assert process.stdout.strip() == commands.help_text(name)


def test_an_old_help_is_replaced_and_what_is_around_it_stays() -> None:
    old = "Before.\n\n<!-- help wsss verify -->\nold\n<!-- end -->\nAfter.\n"
    new = commands.filled(old)
    assert new.startswith(
        "Before.\n\n<!-- help wsss verify -->\n\n```console\n$ wsss verify --help\nUsage: wsss verify"
    )
    assert new.endswith("```\n\n<!-- end -->\nAfter.\n")
    assert "\nold\n" not in new


def test_the_diagrams_are_those_of_the_script() -> None:
    for name, draw in diagrams.PICTURES.items():
        assert (REPO / diagrams.FOLDER / name).read_text(encoding="utf-8") == draw(), "python -m manual.diagrams"
