"""`python -m manual.record PAGE`: run the commands of a page in a new project, and write what they print into it.

The project is a clone of this checkout in an empty folder, so `..` of it is empty too. Comments in the page steer:

<!-- run: COMMANDS -->   run before the next block, and not shown; $REPO is this checkout
<!-- keep -->            the next block is neither run nor changed
<!-- cut: PATTERN -->    what is left out of the outputs of the next block (multiline; several comments add up)

Progress lines are always left out, and the folder's path is shortened to `…`. Exit codes 0 and 2 are results like any
other; where a command ends with another one, nothing is written.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from manual.blocks import COMMAND
from wsss.core.atomic import write_text
from wsss.core.errors import UserError

ROOT = Path(__file__).parent.parent
PART = re.compile(
    r"<!-- run: (?P<run>.*?) -->|<!-- (?P<keep>keep) -->|<!-- cut: (?P<cut>.*?) -->|"
    r"^```console\n(?P<body>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
MARK = "=====record====="
PROGRESS = re.compile(r"^\w+: (?:[\w ]+: )?\d+/\d+ [^\n]*\n", re.MULTILINE)
EXPECTED = (0, 2)


@dataclass(frozen=True)
class Command:
    """One command of a page: shown in a block, or run before it; `cuts`: patterns that its output is shown without."""

    text: str
    shown: bool
    cuts: tuple[str, ...] = ()


def script(text: str) -> list[Command]:
    """The commands of a page in their order, kept blocks aside."""
    found: list[Command] = []
    keep, cuts = False, []
    for part in PART.finditer(text):
        if part["run"]:
            found.append(Command(part["run"].strip(), shown=False))
        elif part["keep"]:
            keep = True
        elif part["cut"]:
            cuts.append(part["cut"])
        else:
            if not keep:
                lines = (line["command"] for line in COMMAND.finditer(part["body"]))
                found += [Command(line, shown=True, cuts=tuple(cuts)) for line in lines]
            keep, cuts = False, []
    return found


def run(commands: Sequence[Command], project: Path) -> list[str]:
    """What each command prints, in one shell whose folder is `project`. Raises `UserError` at one that fails."""
    lines = [f"{command.text}\nprintf '\\n{MARK} %s\\n' $?" for command in commands]
    # As a reader's shell: no setting of this one.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("WSSS_")}
    environment = plain | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(project),
        "REPO": str(ROOT),
    }
    outputs: list[str] = []
    with subprocess.Popen(
        ["bash", "-c", "exec 2>&1\n" + "\n".join(lines)],
        cwd=project,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as shell:
        assert shell.stdout is not None
        output = ""
        for line in shell.stdout:
            if not line.startswith(MARK):
                click.echo(line, nl=False, err=True)
                output += line
                continue
            code, text = int(line.split()[1]), commands[len(outputs)].text
            if code not in EXPECTED:
                shell.kill()
                raise UserError(text, f"ended with {code}", "correct the page, or what it calls; nothing was written")
            outputs.append(output.removesuffix("\n"))
            output = ""
    if len(outputs) < len(commands):
        raise UserError(commands[len(outputs)].text, "ended the shell", "leave `exit` and `exec` out of the page")
    return outputs


def shortened(output: str, cuts: Sequence[str], place: Path) -> str:
    """An output as the page shows it: no progress, no cuts, no place of this machine, no blanks at ends of lines."""
    text = PROGRESS.sub("", output.rstrip() + "\n").replace(str(place), "…")
    for cut in cuts:
        text = re.sub(cut, "", text, flags=re.MULTILINE)
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


def recorded(text: str, outputs: Sequence[str], place: Path) -> str:
    """`text` with `outputs`, those of `script(text)`, in the places of the old ones."""
    left = [(command, output) for command, output in zip(script(text), outputs, strict=True) if command.shown]
    keep = False

    def part(found: re.Match[str]) -> str:
        nonlocal keep
        if found["body"] is None:
            keep = keep or bool(found["keep"])
            return found[0]
        if keep:
            keep = False
            return found[0]
        lines = []
        for _ in COMMAND.finditer(found["body"]):
            command, output = left.pop(0)
            lines += [f"$ {command.text}", *filter(None, [shortened(output, command.cuts, place)])]
        return "\n".join(["```console", *lines, "```"])

    return PART.sub(part, text)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("page", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def main(page: Path) -> None:
    """Run the commands of PAGE, and write their outputs into it."""
    text = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder).resolve()
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(place / "wsss")], check=True)
        try:
            outputs = run(script(text), place / "wsss")
        except UserError as error:
            raise click.ClickException(str(error)) from error
    write_text(page, recorded(text, outputs, place))
    click.echo(f"record: {len(outputs)} commands → {page}")


if __name__ == "__main__":
    main()
