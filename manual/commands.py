"""`python -m manual.commands`: put the help of every command into docs/commands.md.

It stands between ``<!-- help NAME -->`` and ``<!-- end -->``; what is written around it stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from wsss.cli import main as wsss
from wsss.core.atomic import write_text

PAGE = Path("docs/commands.md")
BLOCK = re.compile(r"(?P<begin><!-- help (?P<name>[\w -]+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL)
COLUMNS = 78
"""What click leaves of a terminal of 80."""


def names(command: click.Command = wsss, prefix: str = "wsss") -> Iterator[str]:
    """Every command with those below it: ``wsss``, ``wsss tag``, …, ``wsss labels import-masks``."""
    yield prefix
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from names(inner, f"{prefix} {name}")


def help_text(name: str) -> str:
    """What `name` --help prints on a terminal of 80 columns. Raises `KeyError` if there is no such command."""
    command: click.Command = wsss
    for word in name.split()[1:]:
        context = click.Context(command)
        inner = command.get_command(context, word) if isinstance(command, click.Group) else None
        if inner is None:
            raise KeyError(name)
        command = inner
    context = click.Context(command, info_name=name, terminal_width=COLUMNS, **command.context_settings)
    return command.get_help(context)


def filled(text: str) -> str:
    """`text` with today's help of each command it names."""

    def block(found: re.Match[str]) -> str:
        name = found["name"]
        return f"{found['begin']}\n```console\n$ {name} --help\n{help_text(name)}\n```\n\n{found['end']}"

    return BLOCK.sub(block, text)


def main() -> None:
    """Write the page anew."""
    write_text(PAGE, filled(PAGE.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
