"""The front door: quick help, and errors that say what to do."""

from __future__ import annotations

import subprocess
import sys
import time

import click
import pytest
from click.testing import CliRunner

from tests.helpers import REPO
from wsss import cli
from wsss.core.command import people_command
from wsss.core.errors import IntegrityError


def wsss(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.main, arguments, prog_name="wsss")
    return result.exit_code, result.stdout, result.stderr


def test_help_loads_nothing_heavy_and_is_quick() -> None:
    code = (
        "import sys; from wsss.cli import main; main(['--help'], standalone_mode=False); "
        "print([name for name in ('torch', 'numpy', 'numba', 'h5py', 'rich', 'pydantic') if name in sys.modules])"
    )
    begin = time.monotonic()
    process = subprocess.run([sys.executable, "-c", code], cwd=REPO, check=True, capture_output=True, text=True)
    assert process.stdout.endswith("[]\n")
    # A twentieth of what torch alone needs; a machine that runs other tests meanwhile may take its time.
    assert time.monotonic() - begin < 5
    for name, (_, line) in cli.COMMANDS.items():
        assert f"  {name} " in process.stdout
        assert line.split()[0] in process.stdout


def test_the_help_says_where_corrected_masks_come_back() -> None:
    (line,) = [line for line in wsss("--help")[1].splitlines() if "corrected" in line]
    assert line.split()[0] == "labels"


def test_help_of_every_command_comes_before_torch() -> None:
    code = f"""
import sys
from wsss.cli import main
for command in {[*cli.COMMANDS]!r} + ["recipe use", "recipe list", "labels import", "labels import-masks"]:
    main([*command.split(), "--help"], standalone_mode=False)
    heavy = [name for name in ("torch", "numba", "h5py", "scipy", "onnxruntime", "dvc") if name in sys.modules]
    assert not heavy, f"wsss {{command}} --help loads {{heavy}}"
"""
    subprocess.run([sys.executable, "-c", code], cwd=REPO, check=True, capture_output=True, text=True)


def test_import_of_the_package_is_light_and_exports_the_segmenter_lazily() -> None:
    code = (
        "import sys, wsss; assert 'torch' not in sys.modules; from wsss import Segmenter; print(Segmenter.__module__)"
    )
    process = subprocess.run([sys.executable, "-c", code], cwd=REPO, check=True, capture_output=True, text=True)
    assert process.stdout == "wsss.predict.segmenter\n"


def test_unknown_attribute_of_the_package() -> None:
    import wsss as package

    with pytest.raises(AttributeError, match="module 'wsss' has no attribute 'Segmentor'"):
        package.Segmentor  # noqa: B018


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_of_the_table_is_there_and_explains_itself(name: str) -> None:
    command = cli.load_command(name)
    assert command.name == name
    assert command.help
    assert wsss(name, "--help")[0] == 0


@pytest.mark.parametrize("name", ["predict", "export", "inspect", "check", "doctor", "verify"])
def test_every_command_that_reads_has_json(name: str) -> None:
    assert "--json" in {option for parameter in cli.load_command(name).params for option in parameter.opts}


def test_unknown_command() -> None:
    expected = "error: wsss: no command 'predcit' (did you mean 'predict'?)\nfix: see wsss --help\n"
    assert wsss("predcit", "x") == (2, "", expected)


def test_missing_file_of_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cli.COMMANDS, "toy", ("wsss.commands.toy", "Nothing."))
    code, _, text = wsss("toy")
    assert code == 3
    assert text == (
        "error: wsss toy: the file of this command is missing (wsss.commands.toy)\n"
        "fix: install wsss again: pip install -e .\n"
    )


def test_missing_package_of_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wsss.commands.inspect", None)
    monkeypatch.setitem(cli.COMMANDS, "toy", ("wsss.commands.inspect.toy", "Nothing."))
    code, _, text = wsss("toy")
    assert code == 3
    assert "fix: install wsss again" in text


def test_version() -> None:
    code, out, _ = wsss("--version")
    assert code == 0
    assert out.startswith("wsss 0.")


def test_module_runs_as_a_program() -> None:
    process = subprocess.run([sys.executable, "-m", "wsss", "--version"], cwd=REPO, capture_output=True, text=True)
    assert process.stdout.startswith("wsss 0.")


def failing(error: BaseException) -> click.Command:
    def main() -> str:
        raise error

    return people_command(main)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (IntegrityError("a.pt", "is damaged", "make it again"), 4, "error: a.pt: is damaged\nfix: make it again\n"),
        (
            ZeroDivisionError("x"),
            1,
            "error: wsss: ZeroDivisionError: x\nfix: this is a bug; run again with --debug and report it\n",
        ),
        (KeyboardInterrupt(), 130, "stopped (SIGINT) at once; files that were finished are kept\n"),
    ],
)
def test_errors_of_commands_are_those_of_stages(error: BaseException, code: int, text: str) -> None:
    result = CliRunner().invoke(failing(error), [])
    assert (result.exit_code, result.stderr) == (code, text)
    assert "Traceback" in CliRunner().invoke(failing(error), ["--debug"]).stderr or code == 130
