"""The guard around a stage: what its fingerprint covers, one writer at a time, errors as exit codes."""

from __future__ import annotations

import os
import signal
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

from tests.helpers import running, wait_until
from wsss.core.errors import EnvError, ErrorList, IntegrityError, InterruptedStage, UserError, WsssError
from wsss.core.records import read_made
from wsss.core.stage import hash_input, loaded_code, make_fingerprint, open_stage, stage_command


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DVC_STAGE", raising=False)
    monkeypatch.setenv("WSSS_SCRATCH", str(tmp_path / "scratch 5 %"))
    return tmp_path / "scratch 5 %"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.csv").write_text("1")
    (folder / "sub" / "b.csv").write_text("2")
    return folder


def load_as(monkeypatch: pytest.MonkeyPatch, name: str, file: Path, spec: str | None = None) -> None:
    module = ModuleType(name)
    module.__file__ = str(file)
    module.__spec__ = ModuleSpec(spec or name, None)
    monkeypatch.setitem(sys.modules, name, module)


def test_fingerprint_changes_with_settings_name_and_inputs(data: Path) -> None:
    def now(name: str = "train", **settings: object) -> str:
        return make_fingerprint(name, {"seed": 0, "train": {"lr": 0.1}} | settings, [data])

    first = now()
    assert first == now()
    assert len(first) == 16
    assert now("distill") != first
    assert now(seed=1) != first
    assert now(train={"lr": 0.2}) != first
    (data / "sub" / "b.csv").write_text("3")
    second = now()
    assert second != first
    (data / "sub" / "b.csv").rename(data / "sub" / "c.csv")
    assert now() not in (first, second)


def test_fingerprint_changes_with_the_libraries_that_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    before = make_fingerprint("x", {}, [])
    monkeypatch.setattr("importlib.metadata.version", lambda package: f"{package} 0.1")
    assert make_fingerprint("x", {}, []) != before


def test_fingerprint_does_not_depend_on_the_order_of_settings() -> None:
    assert make_fingerprint("x", {"a": 1, "b": 2}, []) == make_fingerprint("x", {"b": 2, "a": 1}, [])


def test_fingerprint_does_not_change_with_location(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def code_at(**folders: str) -> None:
        for name, folder in folders.items():
            file = tmp_path / folder / f"{name}.py"
            file.parent.mkdir(exist_ok=True)
            file.write_text(name)
            load_as(monkeypatch, f"wsss.toy.{name}", file)

    code_at(first="one", second="two")
    here = make_fingerprint("x", {}, [data, data / "a.csv"])
    code_at(first="two", second="one")
    moved = data.rename(tmp_path / "elsewhere")
    assert make_fingerprint("x", {}, [moved, moved / "a.csv"]) == here


def test_fingerprint_changes_with_loaded_code_but_not_with_plumbing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plumbing, code = tmp_path / "plumbing.py", tmp_path / "code.py"
    plumbing.write_text("1")
    load_as(monkeypatch, "wsss.core.toy", plumbing)
    before = make_fingerprint("x", {}, [])
    plumbing.write_text("2")
    assert make_fingerprint("x", {}, []) == before
    code.write_text("1")
    load_as(monkeypatch, "wsss.losses.toy", code)
    loaded = make_fingerprint("x", {}, [])
    assert loaded != before
    code.write_text("2")
    assert make_fingerprint("x", {}, []) not in (before, loaded)


def test_stage_script_is_code_although_python_calls_it_main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_as(monkeypatch, "__main__", tmp_path / "toy.py", spec="pipeline.toy")
    assert tmp_path / "toy.py" in loaded_code()
    load_as(monkeypatch, "__main__", tmp_path / "toy.py", spec="someone.else")
    assert tmp_path / "toy.py" not in loaded_code()


def test_store_is_known_by_its_index(data: Path) -> None:
    (data / "index.json").write_text("{}")
    before = hash_input(data)
    (data / "a.csv").write_text("changed")
    assert hash_input(data) == before
    (data / "index.json").write_text("{ }")
    assert hash_input(data) != before


def test_missing_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing: no such file or folder"):
        make_fingerprint("x", {}, [tmp_path / "nothing"])


def test_scratch_is_removed_after_success_and_kept_after_failure(scratch: Path) -> None:
    def fail() -> None:
        with open_stage("x", {}, []) as stage:
            (stage.scratch / "work").write_text("")
            raise InterruptedStage("a", "b", "c")

    with pytest.raises(InterruptedStage):
        fail()
    assert [path.name for path in scratch.glob("x/*/*")] == ["work"]
    assert not list(scratch.glob("x/*.lock"))
    with open_stage("x", {}, []) as stage:
        assert (stage.scratch / "work").exists()
    assert list((scratch / "x").iterdir()) == []


def test_work_for_other_settings_is_left_alone(scratch: Path) -> None:
    (scratch / "x" / "0123456789abcdef").mkdir(parents=True)
    with open_stage("x", {}, []) as stage:
        assert list(stage.scratch.iterdir()) == []
    assert (scratch / "x" / "0123456789abcdef").is_dir()


@pytest.mark.parametrize("settings", [{}, {"other": 1}])
def test_second_run_on_one_output_is_told_who_is_first(tmp_path: Path, scratch: Path, settings: dict[str, int]) -> None:
    out = tmp_path / "out.csv"
    with open_stage("x", {}, [], files=[out]):
        with pytest.raises(UserError) as caught, open_stage("x", settings, [], files=[out]):
            pass
        (lock,) = scratch.glob("outputs/*.lock")
        assert str(caught.value) == (
            f"error: {lock}: {out} is being written by another process "
            f"(PID {os.getpid()}: {' '.join(sys.argv)})\nfix: wait for it, or stop it first"
        )
        with open_stage("x", {"other": 1}, [], files=[tmp_path / "other.csv"]), open_stage("y", {}, []):
            pass
    with open_stage("x", {}, [], files=[out]):
        pass
    assert [path for path in scratch.rglob("*") if path.is_file()] == []


TURN = """
import sys, time
from pathlib import Path
from wsss.core.stage import open_stage
out, go = map(Path, sys.argv[1:])
with open_stage("x", {}, [], files=[out]):
    out.touch()
    while not go.exists():
        time.sleep(0.01)
"""


def test_same_work_for_another_output_is_waited_for(tmp_path: Path) -> None:
    """As of two queued experiments that share a stage and the scratch folder."""
    with running("-c", TURN, "first", "go", cwd=tmp_path) as first:
        wait_until((tmp_path / "first").exists, 60)
        with running("-c", TURN, "second", "go", cwd=tmp_path) as second:
            assert second.stderr is not None
            said = second.stderr.readline()
            assert said == (
                "waiting: x with the same settings and inputs is running, and does the same work "
                f"(PID {first.pid}: -c first go)\n"
            )
            assert not (tmp_path / "second").exists()
            (tmp_path / "go").touch()
            assert (first.wait(60), second.wait(60)) == (0, 0)
            assert (tmp_path / "second").exists()


def test_signal_in_the_last_moments_keeps_what_is_finished(scratch: Path) -> None:
    def signalled() -> None:
        with open_stage("x", {}, []) as stage:
            (stage.scratch / "work").write_text("")
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(InterruptedStage):
        signalled()
    assert [path.name for path in scratch.glob("x/*/*")] == ["work"]


def test_lock_of_a_killed_run_does_not_block(scratch: Path) -> None:
    fingerprint = make_fingerprint("x", {}, [])
    (scratch / "x").mkdir(parents=True)
    (scratch / "x" / f"{fingerprint}.lock").write_text("PID 999999: long gone")
    with open_stage("x", {}, []):
        pass


def test_processes_of_one_training_share_the_lock_and_the_first_cleans_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_stage("x", {}, []) as first:
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.setenv("RANK", "1")
        with open_stage("x", {}, []) as second:
            assert second == first
        assert first.scratch.is_dir()


def run(error: BaseException | None, *arguments: str) -> tuple[int, str]:
    @stage_command
    @click.option("--number", default=3)
    def main(params: Path, number: int) -> str:
        """Do nothing."""
        if error is not None:
            raise error
        return f"{params} {number}"

    result = CliRunner().invoke(main, arguments)
    return result.exit_code, result.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("a", "b", "c"), 2),
        (EnvError("a", "b", "c"), 3),
        (IntegrityError("a", "b", "c"), 4),
        (ErrorList([UserError("a", "b", "c")]), 2),
        (WsssError("a", "b", "c"), 1),
    ],
)
def test_error_is_its_message_and_its_exit_code(error: WsssError, code: int) -> None:
    assert run(error) == (code, "error: a: b\nfix: c\n")
    found, text = run(error, "--debug")
    assert found == code
    assert text.startswith("Traceback")
    assert text.endswith("error: a: b\nfix: c\n")


def test_bug_is_one_line_unless_debugged() -> None:
    assert run(ZeroDivisionError("by 0")) == (
        1,
        "error: wsss: ZeroDivisionError: by 0\nfix: this is a bug; run again with --debug and report it\n",
    )
    assert "Traceback" in run(ZeroDivisionError("by 0"), "--debug")[1]


@pytest.mark.parametrize(
    "error",
    [RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), ConnectionResetError(104, "reset")],
)
def test_worker_that_was_killed_is_no_bug(error: Exception) -> None:
    code, text = run(error)
    assert (code, text.startswith("error: worker process: ended unexpectedly (killed, or out of memory)")) == (3, True)


def test_pipe_that_its_reader_has_closed_is_no_lost_worker() -> None:
    assert "worker process" not in run(BrokenPipeError(32, "Broken pipe"))[1]


def test_stop_is_no_error() -> None:
    assert run(InterruptedStage("SIGTERM", "b", "c")) == (75, "stopped (SIGTERM): b; c\n")


def test_second_ctrl_c_is_130() -> None:
    assert run(KeyboardInterrupt()) == (130, "stopped (SIGINT) at once; files that were finished are kept\n")


def test_success_is_the_summary_line() -> None:
    assert run(None, "--number", "4") == (0, "params.yaml 4\n")


def test_unknown_option_is_2() -> None:
    assert run(None, "--nmber", "4")[0] == 2


def test_what_a_stage_made_is_noted_outside_of_it(tmp_path: Path, scratch: Path) -> None:
    out = tmp_path / "out.txt"
    for name in ("x", "correct"):
        with open_stage(name, {}, [], files=[out]):
            out.write_text("made")
        made = read_made(hash_input(out), out)
        assert (made and made.stage) == (None if name == "x" else "correct")
    assert out.read_text() == "made"
    assert made is not None
    assert made.processor
    assert made.versions["python"]
    out.write_text("edited")
    assert read_made(hash_input(out), out) is None


def test_a_note_that_cannot_be_written_ends_no_stage(tmp_path: Path, scratch: Path) -> None:
    scratch.mkdir()
    (scratch / "made").write_text("in the way")
    with open_stage("correct", {}, [], files=[tmp_path / "out.txt"]):
        (tmp_path / "out.txt").write_text("made")
    assert (tmp_path / "out.txt").is_file()
