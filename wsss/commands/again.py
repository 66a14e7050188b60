"""The command that repeats `wsss init` or `wsss tag`, as its messages write it, to be pasted."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from wsss.core.errors import WsssError

PARAMS = Path("params.yaml")
SETTING = re.compile(r"set dataset\.(\w+) to the heading of the right one \(wsss init: --[a-z-]+ NAME\)")
"""In the fix of an error of `formats.columns`, which does not know what was typed."""
MEANT = re.compile(r"""(?:may [a-z ]+: |did you mean )('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")
"""The first heading that may be meant, in what such an error says."""


@dataclass(frozen=True)
class Again:
    """What was typed, after `verb`, the name of the command. `asked`: settings of section `dataset` that are options as
    well, empty where left out.
    """

    folder: Path
    tags: Path | None
    asked: Mapping[str, str | tuple[str, ...]]
    recipe: str | None = None
    params: Path = PARAMS
    force: bool = False
    verb: str = "init"

    @property
    def options(self) -> str:
        """Options of the command, as they follow the folder and the table."""
        items = self.asked.items()
        given = [(key, each) for key, value in items for each in ([value] if isinstance(value, str) else value)]
        written = "".join(f" --{key.replace('_', '-')} {shlex.quote(value)}" for key, value in given if value)
        written += "" if self.params == PARAMS else f" --params {shlex.quote(str(self.params))}"
        return written + (f" --recipe {self.recipe}" if self.recipe else "") + (" --force" if self.force else "")

    @property
    def command(self) -> str:
        """The whole command."""
        table = "" if self.tags is None else f" --tags {shlex.quote(str(self.tags))}"
        return f"wsss {self.verb} {shlex.quote(str(self.folder))}{table}{self.options}"

    def pasteable(self, error: WsssError) -> WsssError:
        """`error` with the whole command as its fix, where that was the setting of a column; the first is proposed."""
        found = SETTING.search(error.fix)
        if found is None:
            return error
        meant = MEANT.search(error.what)
        heading = "NAME" if meant is None else str(ast.literal_eval(meant[1]))
        command = replace(self, asked={**self.asked, found[1]: heading}).command
        fix = f"{error.fix[: found.start()]}name the right one: {command}{error.fix[found.end() :]}"
        return type(error)(error.where, error.what, fix)
