"""`wsss`, the command for people. Each subcommand is a file of `wsss/commands` and is loaded when it is called.

The help lines stand here, so that `wsss --help` loads neither torch nor numpy.
"""

from __future__ import annotations

import importlib
import sys

import click

from wsss.core.command import CONTEXT
from wsss.core.errors import EnvError, UserError, WsssError, did_you_mean
from wsss.core.log import say
from wsss.core.packages import missing_package

COMMANDS = {
    "tag": ("wsss.commands.tag", "Tag the photos of a folder in the browser."),
    "init": ("wsss.commands.init", "Write a params.yaml for your own photos."),
    "plan": ("wsss.commands.plan", "Show what settings mean for their photos: steps, crops, minutes, memory."),
    "recipe": ("wsss.commands.recipe", "List the recipes, print one, or put it in place as params.yaml."),
    "explain": ("wsss.commands.explain", "Explain a setting: value, default, unit, and which stages read it."),
    "check": ("wsss.commands.check", "Check a data set and list every problem."),
    "doctor": ("wsss.commands.doctor", "Check this machine: packages, device, disk, weights."),
    "download": ("wsss.commands.download", "Fetch VOC 2012, SBD or COCO 2014, checked by checksums."),
    "masks": ("wsss.commands.masks", "Draw the masks of a COCO data set, for scoring."),
    "labels": ("wsss.commands.labels", "Bring back masks that you corrected, or CAMs and masks of your own."),
    "watch": ("wsss.commands.watch", "Look on while the pipeline runs, in the terminal or on a page."),
    "predict": ("wsss.commands.predict", "Segment photos with a trained network."),
    "inspect": ("wsss.commands.inspect", "Show what is in a file or folder that wsss has written."),
    "compare": ("wsss.commands.compare", "Compare two runs: scores, classes, photos, settings."),
    "export": (
        "wsss.commands.export",
        "Write a network as ONNX, TorchScript or a package, labels for VOC, COCO, CVAT, Label Studio, FiftyOne, YOLO.",
    ),
    "verify": ("wsss.commands.verify", "Compare artifacts with what was recorded when they were made."),
}
"""Name → module that has the command as `main`, and its line in the help."""


class LazyGroup(click.Group):
    """Subcommands by name from `COMMANDS`; a module is imported for its own call and help only."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of use and not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command; None for an unknown name. Leaves with exit code 3 if its module is not there."""
        if cmd_name not in COMMANDS:
            return None
        try:
            return load_command(cmd_name)
        except WsssError as error:
            say(str(error))
            sys.exit(error.exit_code)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, with our form of error for a name that is unknown."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            error = UserError("wsss", f"no command {args[0]!r}{did_you_mean(args[0], COMMANDS)}", "see wsss --help")
            say(str(error))
            sys.exit(error.exit_code)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without loading anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def load_command(name: str) -> click.Command:
    """The click command `name`. Raises `EnvError` if its file or a package that it needs is missing."""
    module = COMMANDS[name][0]
    try:
        command = importlib.import_module(module).main
    except ModuleNotFoundError as error:
        if error.name == module:
            what, fix = f"the file of this command is missing ({module})", "install wsss again: pip install -e ."
            raise EnvError(f"wsss {name}", what, fix) from error
        raise missing_package(f"wsss {name}", error.name or "") from error
    assert isinstance(command, click.Command)
    return command


@click.group(cls=LazyGroup, context_settings=dict(CONTEXT))
@click.version_option(package_name="wsss", message="wsss %(version)s")
def main() -> None:
    """Image tags in, pixel masks out.

    These commands are for people; the pipeline itself runs by `dvc repro`. Errors say where, what and one fix.
    Exit codes: 2 input, 3 environment, 4 damaged artifact, 75 interrupted and resumable, 1 bug.
    """
