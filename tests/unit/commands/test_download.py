"""`wsss download`: fetched from a server of this test, cut, continued, compared, unpacked."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
from click.testing import CliRunner, Result

from wsss.commands import download
from wsss.core import fetch as fetching
from wsss.core.errors import EnvError, UserError
from wsss.core.fetch import fetch
from wsss.core.unpack import Limits
from wsss.formats.downloads import DOWNLOADS, Archive, Download, write_train_aug

BODY = bytes(range(256)) * 3000


class Server(BaseHTTPRequestHandler):
    """Serves `BODY` or an archive, with ranges; cuts connections as long as `cuts` says how much to give."""

    files: ClassVar[dict[str, bytes]]
    cuts: ClassVar[list[int]]
    stamp: ClassVar[str]
    ranges: ClassVar[bool]
    answer: ClassVar[int]
    asked: ClassVar[list[str]]

    def do_GET(self) -> None:
        body = self.files.get(self.path, b"")
        wanted = self.headers.get("Range", "")
        self.asked.append(wanted)
        if self.answer != 200:
            self.send_error(self.answer)
            return
        begin = 0
        if wanted and self.ranges and self.headers.get("If-Range", self.stamp) == self.stamp:
            begin = int(wanted.removeprefix("bytes=").rstrip("-"))
            if begin >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body) - begin))
        self.send_header("ETag", self.stamp)
        self.end_headers()
        self.wfile.write(body[begin : begin + self.cuts.pop(0)] if self.cuts else body[begin:])

    def log_message(self, *arguments: object) -> None:
        """Silence."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of a server that runs for one test."""
    Server.files, Server.cuts, Server.asked = {"/file.bin": BODY}, [], []
    Server.stamp, Server.ranges, Server.answer = '"one"', True, 200
    monkeypatch.setattr(fetching, "WAIT", 0.0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_fetch(server: str, tmp_path: Path) -> None:
    fetch(f"{server}/file.bin", tmp_path / "deep/file.bin", len(BODY))
    assert (tmp_path / "deep/file.bin").read_bytes() == BODY
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["file.bin"]


def test_cut_connection_goes_on_where_it_was(server: str, tmp_path: Path) -> None:
    Server.cuts = [100_000, 50_000, 0]
    fetch(f"{server}/file.bin", tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == BODY
    assert Server.asked == ["", "bytes=100000-", "bytes=150000-", "bytes=150000-"]


def test_killed_download_goes_on_in_the_next_run(server: str, tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    Server.cuts = [100_000, *[0] * 50]
    with pytest.raises(EnvError, match=r"cannot be downloaded \(the connection was cut\)") as caught:
        fetch(f"{server}/file.bin", path)
    assert caught.value.fix == "run the command again: it goes on after 0 MiB"
    assert path.with_name("file.bin.part").stat().st_size == 100_000
    Server.cuts, Server.asked = [], []
    fetch(f"{server}/file.bin", path)
    assert Server.asked == ["bytes=100000-"]
    assert path.read_bytes() == BODY


def test_file_that_changed_on_the_server_is_fetched_from_its_beginning(server: str, tmp_path: Path) -> None:
    Server.cuts = [100_000, *[0] * 50]
    with pytest.raises(EnvError):
        fetch(f"{server}/file.bin", tmp_path / "file.bin")
    Server.cuts, Server.stamp, Server.files = [], '"two"', {"/file.bin": BODY[::-1]}
    fetch(f"{server}/file.bin", tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == BODY[::-1]


def test_server_without_ranges(server: str, tmp_path: Path) -> None:
    Server.cuts, Server.ranges = [100_000], False
    fetch(f"{server}/file.bin", tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == BODY


@pytest.mark.parametrize("size", [None, len(BODY)])
def test_whole_part_needs_no_byte_more(server: str, tmp_path: Path, size: int | None) -> None:
    (tmp_path / "file.bin.part").write_bytes(BODY)
    fetch(f"{server}/file.bin", tmp_path / "file.bin", size)
    assert (tmp_path / "file.bin").read_bytes() == BODY
    assert Server.asked == ([] if size else [f"bytes={len(BODY)}-"])


def test_part_that_is_too_long_is_given_up(server: str, tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").write_bytes(BODY + b"x")
    fetch(f"{server}/file.bin", tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == BODY


def test_refusals(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="expected http:// or https://"):
        fetch("file:///etc/passwd", tmp_path / "x")
    with pytest.raises(EnvError, match=f"found a file of {len(BODY)} bytes, expected 7"):
        fetch(f"{server}/file.bin", tmp_path / "x", 7)
    Server.answer = 404
    with pytest.raises(EnvError, match="the server answered 404 Not Found") as caught:
        fetch(f"{server}/file.bin", tmp_path / "x")
    assert caught.value.fix == "look for the file's new address, and give it with --mirror"
    Server.answer = 503
    with pytest.raises(EnvError, match=r"cannot be downloaded \(the server answered 503 Service Unavailable\)"):
        fetch(f"{server}/file.bin", tmp_path / "x")
    with pytest.raises(EnvError, match=r"cannot be downloaded \("):
        fetch("http://127.0.0.1:9/file.bin", tmp_path / "x")
    Server.answer = 200
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(EnvError, match=r"x needs about 0\.0 GB, free are 0\.0 GB") as caught:
        fetch(f"{server}/file.bin", tmp_path / "x")
    assert caught.value.fix == "free some space, or choose another folder"


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def zip_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


FILES = {"set/a.txt": b"a" * 5000, "set/deep/b.txt": b"b"}
TAR, ZIP = tar_of(FILES), zip_of({"annotations/c.json": b"{}"})


@pytest.fixture
def table(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Two archives in place of VOC's."""
    Server.files = {"/mine.tgz": TAR, "/two.zip": ZIP}
    limits = Limits(10, 10_000)
    archives = (
        Archive(f"{server}/mine.tgz", len(TAR), f"md5:{hashlib.md5(TAR).hexdigest()}", limits),
        Archive(f"{server}/two.zip", None, f"sha256:{hashlib.sha256(ZIP).hexdigest()}", limits),
    )
    monkeypatch.setitem(DOWNLOADS, "voc2012", Download(archives, "set", "some terms"))
    return server


def run(tmp_path: Path, *options: str, name: str = "voc2012") -> Result:
    return CliRunner().invoke(download.main, [name, str(tmp_path / "data"), *options])


def test_command_fetches_compares_and_unpacks(table: str, tmp_path: Path) -> None:
    Server.cuts = [30]
    result = run(tmp_path)
    assert result.exit_code == 0, result.output
    root = tmp_path / "data"
    assert result.stdout == f"download: {root}/set; next: wsss init {root}/set\n"
    assert "voc2012: some terms\n" in result.stderr
    assert f"mine.tgz: 2 files → {root}\n" in result.stderr
    assert {name: (root / name).read_bytes() for name in FILES} == FILES
    assert sorted(path.name for path in (root / ".wsss-download").iterdir()) == ["mine.tgz.done", "two.zip.done"]
    Server.asked = []
    assert "mine.tgz: done before (" in run(tmp_path).stderr
    assert Server.asked == []


def test_mirror_and_kept_archives(table: str, tmp_path: Path) -> None:
    Server.files = {f"/far/away{name}": data for name, data in Server.files.items()}
    assert run(tmp_path).exit_code == 3  # an empty answer where the archive was
    assert run(tmp_path / "x", "--mirror", f"{table}/far/away/", "--keep-archives").exit_code == 0
    assert (tmp_path / "x/data/.wsss-download/mine.tgz").read_bytes() == TAR


def test_wrong_checksum_unpacks_nothing(table: str, tmp_path: Path) -> None:
    other = tar_of({"set/a.txt": b"a" * 5001})
    Server.files["/mine.tgz"] = other + b"\0" * (len(TAR) - len(other))
    result = run(tmp_path)
    assert result.exit_code in (3, 4)
    assert not (tmp_path / "data/set").exists()
    Server.files["/mine.tgz"] = TAR[:-1] + bytes([TAR[-1] ^ 1])
    result = run(tmp_path / "again")
    path = tmp_path / "again/data/.wsss-download/mine.tgz"
    assert result.exit_code == 4
    assert f"error: {path}: wrong md5 (found " in result.stderr
    assert f"fix: delete {path} and run the command again\n" in result.stderr


def test_unknown_checksum_is_shown_and_asked_about(table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = Archive(f"{table}/two.zip", None, None, Limits(10, 10_000))
    monkeypatch.setitem(DOWNLOADS, "voc2012", Download((archive,), ".", "some terms"))
    result = run(tmp_path)
    digest = hashlib.sha256(ZIP).hexdigest()
    path = tmp_path / "data/.wsss-download/two.zip"
    assert result.exit_code == 2
    assert (
        f"error: {path}: no official checksum of this archive is known; it has sha256 {digest}\n"
        f"fix: compare it with a source that you trust, then run again with --sha256 {digest}\n" in result.stderr
    )
    assert not (tmp_path / "data/annotations").exists()
    Server.asked = []
    assert run(tmp_path, "--sha256", digest.upper()).exit_code == 0
    assert Server.asked == []
    assert (tmp_path / "data/annotations/c.json").exists()


def test_full_disk_is_told_before_anything_is_fetched(
    table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=5000))
    result = run(tmp_path)
    assert result.exit_code == 3
    assert "data: mine.tgz and its contents needs about 0.0 GB" in result.stderr
    assert Server.asked == []


def test_official_table() -> None:
    archives = [archive for chosen in DOWNLOADS.values() for archive in chosen.archives]
    assert [archive.name for archive in archives] == [
        "VOCtrainval_11-May-2012.tar",
        "benchmark.tgz",
        "annotations_trainval2014.zip",
        "val2014.zip",
        "train2014.zip",
    ]
    for archive in archives:
        kind, _, digest = str(archive.checksum).partition(":")
        assert len(digest) == {"md5": 32, "sha256": 64}[kind]
        assert int(digest, 16)


def test_list_of_augmented_training_photos(tmp_path: Path) -> None:
    lists = tmp_path / "VOCdevkit/VOC2012/ImageSets/Segmentation"
    sbd = tmp_path / "benchmark_RELEASE/dataset"
    assert write_train_aug(tmp_path).startswith("no list written: for train_aug.txt, VOC 2012 has to be in ")
    for path, names in (
        (lists / "train.txt", "b a"),
        (lists / "val.txt", "v w"),
        (sbd / "train.txt", "a s v"),
        (sbd / "val.txt", "t w"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(names.split()) + "\n")
    assert write_train_aug(tmp_path) == (f"{lists}/train_aug.txt: 4 training photos (the literature's list has 10582)")
    assert (lists / "train_aug.txt").read_text() == "a\nb\ns\nt\n"
