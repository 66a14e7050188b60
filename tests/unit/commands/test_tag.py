"""`wsss tag` as a process: its address, its end, and what a kill at any moment leaves on the disk."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.conftest import RawData
from tests.helpers import REPO
from tests.toy_tag import NEEDS, two_kinds
from wsss.commands.tag import main
from wsss.formats.guess import guess_dataset
from wsss.formats.registry import scan

LIGHT = """
import sys
from wsss.core.errors import EnvError
from wsss.tag import suggest

def none():
    raise EnvError("suggestions", "left out", "these tests need none")

suggest.backbone_look = none
from wsss.cli import main
main(sys.argv[1:])
"""
"""The command without its network, which takes seconds to load."""


@contextmanager
def running(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its address; killed at the end, if it still runs."""
    command = [sys.executable, "-c", LIGHT, "tag", str(folder), "--no-browser", *options]
    process = subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(2)]
        assert said[1].startswith("http://127.0.0.1:"), said + process.communicate()[1].splitlines()
        yield process, said[1].strip()
    finally:
        process.kill()
        process.communicate()


def post(address: str, **body: object) -> Any:
    data = json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def tag(address: str, photo: int, name: str | None, on: bool = True) -> None:
    post(f"{address}tag", changes=[{"photos": [photo], "class": name, "on": on}])


def on_disk(folder: Path) -> dict[str, tuple[str, ...]]:
    """Tags of the photos that have a row, as `wsss init` reads them."""
    if not (folder / "tags.csv").exists():
        return {}
    raw = scan(guess_dataset(folder, None))
    assert not raw.problems
    named = {line.split(",")[0].removesuffix(".jpg") for line in (folder / "tags.csv").read_text().splitlines()[1:]}
    return {item.id: item.tags for item in raw.items if item.id in named}


@pytest.fixture
def folder(raw_data: RawData) -> Path:
    pytest.importorskip("starlette", reason=NEEDS)
    pytest.importorskip("uvicorn", reason=NEEDS)
    return two_kinds(raw_data, 12)


def test_ctrl_c_ends_it_with_the_next_command(folder: Path) -> None:
    with running(folder) as (process, address):
        assert urllib.request.urlopen(address, timeout=20).status == 200
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"{address.rsplit('/', 2)[0]}/", timeout=20)
        post(f"{address}class", name="cow")
        tag(address, 0, "cow")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    left = "1 of 12 photos are tagged (11 are not, and would count as photos of no class)"
    assert out.splitlines()[-1] == f"tag: {left}; next: wsss init {folder}"
    assert err == ""
    assert sorted(path.name for path in folder.iterdir() if path.suffix != ".jpg") == ["classes.txt", "tags.csv"]


def test_a_table_of_another_name_is_named(folder: Path) -> None:
    (folder / "animals.csv").write_text("photo;animal\nc000;cow\ns001;sheep\n", encoding="utf-8")
    for options, said in ((), True), (("--tags", "animals.csv"), False):
        with running(folder, *options) as (process, address):
            done = json.load(urllib.request.urlopen(f"{address}news", timeout=20))["done"]
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)
        assert (done == 0, "animals.csv is not read; a new table is begun" in err) == (said, said)
        assert (f"wsss tag {folder} --tags animals.csv" in err) is said


def test_a_table_of_another_form_begins_one_which_the_next_command_names(folder: Path) -> None:
    (folder / "tags.csv").write_text("photo,cow,sheep\nc000,1,0\n", encoding="utf-8")
    with running(folder) as (process, address):
        assert json.load(urllib.request.urlopen(f"{address}news", timeout=20))["done"] == 1
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    own = folder / "tags-tagged.csv"
    assert err == ""
    assert out.splitlines()[-1].endswith(f"; next: wsss init {folder} --tags {own}")
    assert own.read_text(encoding="utf-8") == "filename,tags\nc000.jpg,cow\n"
    assert (folder / "tags.csv").read_text(encoding="utf-8") == "photo,cow,sheep\nc000,1,0\n"


def test_columns_are_named_as_for_init(folder: Path) -> None:
    text = "photo;animal;remark\nc000;cow;blurred\ns001;sheep;dark\n"
    (folder / "tags.csv").write_text(text, encoding="utf-8")
    result = CliRunner().invoke(main, [str(folder), "--no-browser"])
    assert result.exit_code == 2
    assert f"\nfix: name the right one: wsss tag {folder} --tag-column animal; or move the table away" in result.stderr
    with running(folder, "--tag-column", "animal", "--photo-column", "photo") as (process, address):
        assert json.load(urllib.request.urlopen(f"{address}news", timeout=20))["done"] == 2
        tag(address, 1, "cow")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    assert out.splitlines()[-1].endswith(f"; next: wsss init {folder} --photo-column photo --tag-column animal")
    assert (folder / "tags.csv").read_text(encoding="utf-8") == f"{text}c002.jpg;cow;\n"


def test_only_this_machine_can_connect(folder: Path) -> None:
    with running(folder) as (_, address):
        port = int(address.split(":")[2].split("/")[0])
        addresses = {each[4][0] for each in socket.getaddrinfo(socket.gethostname(), port, socket.AF_INET)}
        for other in {str(each) for each in addresses} - {"127.0.0.1"}:
            if not other.startswith("127."):
                with pytest.raises(OSError, match=r"refused|timed out|unreachable"):
                    socket.create_connection((other, port), timeout=2).close()


def test_what_was_acknowledged_survives_kills_at_any_moment(folder: Path) -> None:
    chance = random.Random(0)
    expected: dict[str, tuple[str, ...]] = {}
    order = sorted(path.stem for path in folder.iterdir())
    for _ in range(4):
        with running(folder) as (process, address):
            for name in () if expected else ("cow", "sheep"):
                post(f"{address}class", name=name)
            steps = chance.randint(3, 12)
            for step in range(steps):
                photo, name = chance.randrange(12), chance.choice(["cow", "sheep", None])
                if step == steps - 1:  # nobody waits for the answer of this one
                    pending = order[photo]
                    with socket.create_connection(("127.0.0.1", int(address.split(":")[2].split("/")[0]))) as raw:
                        changes = [{"photos": [photo], "class": name, "on": True}]
                        body = json.dumps({"changes": changes})
                        host, _, path = address.removeprefix("http://").partition("/")
                        head = f"POST /{path}tag HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
                        raw.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
                        time.sleep(chance.random() * 0.02)
                        os.kill(process.pid, signal.SIGKILL)
                        process.wait()
                    break
                tag(address, photo, name)
                before = expected.get(order[photo])
                if name is None:
                    expected[order[photo]] = ()
                else:
                    expected[order[photo]] = tuple(dict.fromkeys((*(before or ()), name)))
        found = on_disk(folder)
        kept = {key: tags for key, tags in expected.items() if key != pending}
        assert {key: tags for key, tags in found.items() if key != pending} == kept
        expected = {**kept, pending: found[pending]} if pending in found else {**kept}


def test_two_at_once_on_one_table_are_refused(folder: Path) -> None:
    with running(folder):
        result = CliRunner().invoke(main, [str(folder), "--no-browser"])
    assert result.exit_code == 2
    assert "is being tagged by another wsss tag" in result.stderr


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--tags", "../elsewhere.csv"], "lies outside"),
        (["--tags", "c000.jpg"], "is no name of a table"),
        (["--tags", "table.xlsx"], "give a name that ends in .csv or .tsv or .txt"),
        (["--classes", "nowhere.txt"], "no such file"),
    ],
)
def test_wrong_options(folder: Path, options: list[str], what: str) -> None:
    result = CliRunner().invoke(main, [str(folder), "--no-browser", *options])
    assert result.exit_code == 2
    assert what in result.stderr
    assert not [path for path in folder.iterdir() if path.suffix != ".jpg"]


def test_a_port_in_use_is_an_error(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = CliRunner().invoke(main, [str(folder), "--no-browser", "--port", str(taken.getsockname()[1])])
    assert result.exit_code == 2
    assert "cannot be used" in result.stderr


def test_without_the_packages_the_error_says_what_to_install(
    raw_data: RawData, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw_data.photo("a.jpg")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = CliRunner().invoke(main, [str(raw_data.root), "--no-browser"])
    assert result.exit_code == 3
    assert "pip install 'wsss[tag]'" in result.stderr
