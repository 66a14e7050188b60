"""Fault 27: archives that would write elsewhere, link, fill the disk, or are damaged."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsss.core.errors import UserError, WsssError
from wsss.core.unpack import Limits, safe_name, unpack

LIMITS = Limits(files=10, size=100_000)
Build = Callable[[Path, list[str]], Path]


def zipped(path: Path, names: list[str], data: bytes = b"data") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, data)
    return path


def tarred(path: Path, names: list[str], data: bytes = b"data", kind: bytes = tarfile.REGTYPE) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "/etc/passwd"
            entry.size = len(data) if kind == tarfile.REGTYPE else 0
            archive.addfile(entry, io.BytesIO(data))
    return path


BUILDERS = {"a.zip": zipped, "a.tar": tarred, "a.tgz": tarred}


@pytest.fixture(params=BUILDERS)
def build(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Path]:
    return lambda names, **options: BUILDERS[request.param](tmp_path / "in" / request.param, names, **options)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    return tmp_path / "out"


def refused(archive: Path, folder: Path, what: str) -> None:
    """The archive is refused for `what`, and nothing has appeared."""
    with pytest.raises(UserError) as caught:
        unpack(archive, folder, LIMITS)
    assert caught.value.where == str(archive)
    assert what in caught.value.what
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    assert {path.name for path in folder.parent.iterdir()} == {"in", "out"}


def test_fault_27_sound_archive_lands_beside_what_is_there(build: Callable[..., Path], folder: Path) -> None:
    (folder / "set").mkdir()
    (folder / "set/old.txt").write_text("old")
    (folder / "set/a.txt").write_text("old")
    assert unpack(build(["set/a.txt", "set/deep/ä.txt", "./b.txt"]), folder, LIMITS) == 3
    found = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.txt")}
    assert found == {
        "mine.txt": "mine",
        "set/old.txt": "old",
        "set/a.txt": "data",
        "set/deep/ä.txt": "data",
        "b.txt": "data",
    }


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("../x", "refused: '../x' leaves the folder"),
        ("a/../../x", "leaves the folder"),
        ("a\\..\\..\\x", "leaves the folder"),
        ("/etc/x", "refused: '/etc/x' is an absolute path"),
        ("\\\\host\\x", "is an absolute path"),
        ("C:\\x", "refused: 'C:\\\\x' is an absolute path"),
        ("a\nb", "holds a control character or is not UTF-8"),
        ("a" * 300, "is no file name"),
    ],
)
def test_fault_27_names_that_lead_elsewhere(build: Callable[..., Path], folder: Path, name: str, what: str) -> None:
    refused(build(["good.txt", name]), folder, what)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
@pytest.mark.parametrize("suffix", ["tar", "tgz"])
def test_fault_27_links_and_devices_in_a_tar(tmp_path: Path, folder: Path, kind: bytes, suffix: str) -> None:
    refused(tarred(tmp_path / f"in/a.{suffix}", ["x"], kind=kind), folder, "refused: 'x' is a link or a device")


def test_fault_27_link_in_a_zip(tmp_path: Path, folder: Path) -> None:
    entry = zipfile.ZipInfo("x")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "in/a.zip", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    refused(tmp_path / "in/a.zip", folder, "refused: 'x' is a link or a device")


def test_fault_27_too_many_files(build: Callable[..., Path], folder: Path) -> None:
    refused(build([f"{i}.txt" for i in range(11)]), folder, "refused: more than 10 files")


def test_fault_27_bomb(build: Callable[..., Path], folder: Path) -> None:
    refused(build(["a.txt"], data=bytes(1_000_000)), folder, "refused: it unpacks to more than 0.0001 GB")


def test_fault_27_bomb_whose_header_lies(tmp_path: Path, folder: Path) -> None:
    path = zipped(tmp_path / "in/a.zip", ["a.txt"], bytes(1_000_000))
    data = path.read_bytes()
    path.write_bytes(data.replace((1_000_000).to_bytes(4, "little"), (4).to_bytes(4, "little")))
    with pytest.raises(UserError):
        unpack(path, folder, LIMITS)


def test_fault_27_header_that_claims_gigabytes(tmp_path: Path, folder: Path) -> None:
    entry = tarfile.TarInfo("pax")
    entry.type, entry.size = tarfile.XHDTYPE, 5 << 30
    path = tmp_path / "in/a.tgz"
    path.write_bytes(gzip.compress(entry.tobuf(tarfile.USTAR_FORMAT) + bytes(2048)))
    refused(path, folder, "refused: a header is too long")


def test_fault_27_file_in_the_place_of_a_folder(build: Callable[..., Path], folder: Path) -> None:
    refused(build(["a", "a/b"]), folder, "refused: an entry is a file and a folder")
    refused(build(["a/b", "a"]), folder, "refused: two entries are called 'a'")


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_fault_27_two_files_of_one_name(build: Callable[..., Path], folder: Path) -> None:
    refused(build(["a", "./a"]), folder, "refused: two entries are called 'a'")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
def test_fault_27_cut_archive(build: Callable[..., Path], folder: Path, share: float) -> None:
    noise = np.random.default_rng(0).bytes(20_000)
    path = build(["a.txt", "b.txt"], data=noise)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    refused(path, folder, "damaged, or no archive (")


def test_fault_27_flipped_byte_in_a_zip(tmp_path: Path, folder: Path) -> None:
    path = zipped(tmp_path / "in/a.zip", ["a.txt"], np.random.default_rng(0).bytes(5000))
    data = bytearray(path.read_bytes())
    data[3000] ^= 1
    path.write_bytes(data)
    refused(path, folder, "damaged, or no archive (")


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=30))
def test_fault_27_any_name_stays_below(name: str) -> None:
    try:
        safe = safe_name(name, Path("a.zip"))
    except UserError:
        return
    assert Path("/base", safe).resolve().is_relative_to("/base")
    assert ".." not in Path(safe).parts


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(BUILDERS)), st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=6))
def test_fault_27_fuzzed_archive_is_unpacked_or_refused(
    tmp_path_factory: pytest.TempPathFactory, kind: str, patches: list[tuple[int, int]]
) -> None:
    place = tmp_path_factory.mktemp("fuzz")
    path = BUILDERS[kind](place / kind, ["a.txt", "deep/b.txt"])
    data = bytearray(path.read_bytes())
    for where, value in patches:
        data[where % len(data)] = value
    path.write_bytes(data)
    (place / "out").mkdir()
    try:
        unpack(path, place / "out", LIMITS)
    except WsssError as error:
        found = error
        assert found.exit_code == 2
    assert {item.name for item in place.iterdir()} == {kind, "out"}
