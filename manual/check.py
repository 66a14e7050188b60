"""`python -m manual.check`: every command that a page shows is one that this version understands.

Commands of `wsss`, of stages and of experiments are parsed by their own options, settings of ``-S`` are looked up, and
targets of `make` have to be there. Nothing is run.
"""

from __future__ import annotations

import importlib
import re
import shlex
import sys
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

import click

from experiments.__main__ import COMMANDS
from manual.blocks import Line, commands, pages

ROOT = Path(__file__).parent.parent
ENDS = re.compile(r"\s(?:[|;>]|&&|2>&1)(?:\s|$)|;\s")
"""Where a command of the shell ends, and the next begins."""
OPEN = "…"
"""Stands for anything that the reader puts in its place."""


def problems(page: str, text: str) -> list[str]:
    """What is wrong with the commands of one page: place, command and reason of each."""
    found = []
    for line in commands(page, text):
        for part in ENDS.split(line.command):
            try:
                check(part.strip(), line)
            except click.ClickException as error:
                found.append(f"{line.page}:{line.line}: {part.strip()}: {error.format_message()}")
    return found


def check(text: str, line: Line) -> None:
    """Parse one command. Raises `click.ClickException`; says nothing of programs that are not ours."""
    try:
        words = shlex.split(text, comments=True)
    except ValueError:  # a quote that is not closed: prose in code type, or another language
        return
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]  # environment variables
    match words:
        case ["make", *targets]:
            _targets(targets)
        case ["dvc", *rest]:
            _settings(rest)
        case ["wsss", *rest] | ["python", "-m", "wsss", *rest]:
            _parse(importlib.import_module("wsss.cli").main, rest, line.whole)
        case ["python", "-m", module, *rest] if module.split(".")[0] in ("pipeline", "experiments", "benchmarks"):
            _module(module, rest, line)
            _settings(rest)
        case _:
            pass


def _module(module: str, words: Sequence[str], line: Line) -> None:
    """A script of the repository; OPEN or a capital stands for any."""
    if OPEN in module or module.split(".")[-1].isupper():
        return
    name = module if (ROOT / f"{module.replace('.', '/')}.py").exists() else f"{module}.__main__"
    if not (ROOT / f"{name.replace('.', '/')}.py").exists():
        raise click.UsageError(f"no module {module}")
    main = getattr(importlib.import_module(name), "main", None)
    if isinstance(main, click.Command):
        if module == "experiments" and words and words[0] in COMMANDS:
            main, words = COMMANDS[words[0]], words[1:]
        _parse(main, words, line.whole)


def _parse(command: click.Command, words: Sequence[str], whole: bool) -> None:
    """As click does, without looking at files or running anything; a `whole` command lacks no argument."""
    if isinstance(command, click.Group) and words and not words[0].startswith("-"):
        if words[0] == OPEN or words[0].isupper():
            return
        names = command.list_commands(click.Context(command))
        if words[0] not in names:
            raise click.UsageError(f"no command {words[0]!r}")
        inner = command.get_command(click.Context(command), words[0])
        assert inner is not None
        _parse(inner, words[1:], whole)
        return
    context = click.Context(command, help_option_names=["-h", "--help"])
    rest = [word for word in words if word != OPEN]
    values, extra, _ = command.make_parser(context).parse_args(args=list(rest))
    asked = {"-h", "--help", "--version"} & set(rest)  # which need no argument
    for parameter in command.get_params(context):
        given = parameter.name in values and values[parameter.name] not in (None, ())
        value = values.get(parameter.name or "")
        if isinstance(parameter, click.Argument):
            missing = not isinstance(value, (str, tuple)) or not value
            if whole and not asked and parameter.required and missing and OPEN not in words:
                raise click.UsageError(f"lacks {parameter.human_readable_name}")
        elif whole and not asked and parameter.required and not given:
            raise click.UsageError(f"lacks {parameter.opts[0]}")
        if given and not isinstance(parameter.type, (click.Path, click.File)):
            for each in value if isinstance(value, tuple) else (value,):
                if isinstance(each, str) and not each.isupper():  # capitals stand for any
                    parameter.type.convert(each, parameter, context)
    if extra:
        raise click.UsageError(f"does not take {' '.join(extra)}")


def _targets(words: Sequence[str]) -> None:
    known = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for word in words:
        if "=" not in word and word.islower() and word not in known:
            raise click.UsageError(f"no target {word}")


def _settings(words: Sequence[str]) -> None:
    """Settings after ``-S``; `key` and capitals stand for any."""
    for before, word in pairwise(words):
        key = word.removeprefix("++").partition("=")[0]
        if before == "-S" and key != "key" and not key.isupper() and key not in keys():
            raise click.UsageError(f"no setting {key}")


@cache
def keys() -> frozenset[str]:
    """Every dotted key of params.yaml, and every group of them."""
    from wsss.commands.sections import all_keys

    names = {key.name for key in all_keys()}
    parts = (name.split(".") for name in names)
    return frozenset(names | {".".join(each[:length]) for each in parts for length in range(1, len(each))})


def main() -> None:
    """Check all pages."""
    found = [
        problem
        for page in pages(ROOT)
        for problem in problems(page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8"))
    ]
    for problem in found:
        click.echo(problem, err=True)
    click.echo(f"check: {len(pages(ROOT))} pages, {len(found)} commands that this version does not understand")
    sys.exit(2 if found else 0)


if __name__ == "__main__":
    main()
