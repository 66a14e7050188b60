"""Transcripts are recorded by running the commands of the page itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from manual import record
from manual.record import Command, recorded, run, script
from tests.helpers import REPO
from wsss.core.errors import UserError

PAGE = """# A page

<!-- keep -->

```console
$ exit 3
as it was
```

<!-- run: mkdir ../photos
echo cow > ../photos/tags.csv -->

```console
$ cat ../photos/tags.csv
horse
$ cd ../photos; pwd
old
```

<!-- cut: ^warning.*\\n -->
<!-- cut: ^two\\n -->

```console
$ printf 'one \\ntwo\\nwarning: x\\ntrain: 1/9 steps (11 %%), eta 2\\nthree' >&2; \\
    (exit 2)
$ echo two
```

```python
print("no command")
```
"""


def test_the_commands_of_a_page_in_order() -> None:
    assert script(PAGE) == [
        Command("mkdir ../photos\necho cow > ../photos/tags.csv", shown=False),
        Command("cat ../photos/tags.csv", shown=True),
        Command("cd ../photos; pwd", shown=True),
        Command(
            "printf 'one \\ntwo\\nwarning: x\\ntrain: 1/9 steps (11 %%), eta 2\\nthree' >&2; \\\n    (exit 2)",
            shown=True,
            cuts=("^warning.*\\n", "^two\\n"),
        ),
        Command("echo two", shown=True, cuts=("^warning.*\\n", "^two\\n")),
    ]


def test_what_they_print_replaces_what_stood_there(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    outputs = run(script(PAGE), tmp_path / "project")
    text = recorded(PAGE, outputs, tmp_path)
    expected = PAGE.replace("horse\n", "cow\n").replace("\nold\n", "\n…/photos\n")
    expected = expected.replace("(exit 2)\n", "(exit 2)\none\nthree\n")
    assert text == expected
    # Again, in another folder: the same page.
    (tmp_path / "other" / "project").mkdir(parents=True)
    assert recorded(text, run(script(text), tmp_path / "other" / "project"), tmp_path / "other") == text


def test_settings_of_this_shell_are_not_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_WORKERS", "7")
    assert run([Command("echo ${WSSS_WORKERS-unset}; echo $REPO", shown=True)], tmp_path) == [f"unset\n{REPO}\n"]


@pytest.mark.parametrize(("command", "code"), [("(exit 1)", 1), ("no_such_command_here", 127)])
def test_a_command_that_fails_stops_the_recording(tmp_path: Path, command: str, code: int) -> None:
    with pytest.raises(UserError, match=f"{command.strip('()')}.*: ended with {code}"):
        run([Command(command, shown=True), Command("touch after", shown=True)], tmp_path)


def test_a_shell_that_ends_is_no_output(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="ended the shell"):
        run([Command("exit 0", shown=True)], tmp_path)


def test_the_project_is_a_clone_with_its_own_commands(tmp_path: Path) -> None:
    if not (REPO / ".git").exists():
        pytest.skip("this checkout is not one of git")
    page = tmp_path / "page.md"
    page.write_text(
        "```console\n$ wsss explain seed | head -1\n$ wsss check\n$ ls .. && ls dvc.yaml\n```\n", encoding="utf-8"
    )
    result = CliRunner().invoke(record.main, [str(page)])
    assert result.exit_code == 0, result.output
    lines = page.read_text(encoding="utf-8").splitlines()
    assert lines[:3] == ["```console", "$ wsss explain seed | head -1", "seed"]
    assert lines[4].startswith("error: data/demo")  # exit code 2 is a result: this data set is not drawn yet
    assert lines[-3:] == ["wsss", "dvc.yaml", "```"]


def test_the_tutorial_can_be_recorded() -> None:
    """Its commands are all there, and what has to be left as it was is known."""
    text = (REPO / "docs" / "quickstart.md").read_text(encoding="utf-8")
    found = script(text)
    shown = [command.text for command in found if command.shown]
    assert "dvc repro gallery" in shown
    assert "make setup" not in shown
    hidden = [command.text for command in found if not command.shown]
    assert [text.split()[:3] for text in hidden] == [["python", "-m", "manual.sixty"]] * 4
    assert recorded(text, [""] * len(found), Path("/nowhere")).count("\n```") == text.count("\n```")
    assert subprocess.run(["bash", "-n", "-c", "\n".join(each.text for each in found)], check=False).returncode == 0
