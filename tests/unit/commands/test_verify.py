"""`wsss verify`: the bytes of artifacts against dvc.lock and against their own checksums."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.helpers import CLASSES, IDS, write_toy_store
from tests.toy_networks import write_oste
from tests.unit.export.test_instead import fill, predicted_label
from wsss.commands import verify
from wsss.core.errors import IntegrityError
from wsss.core.folders import atomic_dir
from wsss.core.locked_files import content_md5, damages, file_md5, read_lock
from wsss.core.records import RECORD, note_made
from wsss.core.stage import Stage, hash_input
from wsss.data.origins import LABELS_SHA, digest
from wsss.predict.edits import Checksums
from wsss.predict.folder import Folder
from wsss.report.made import UNKNOWN, made_here
from wsss.stores.labels import PSEUDO_FORMAT, PseudoStore
from wsss.stores.shards import StoreMeta, write_store_index


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of toy labels, a table, and the dvc.lock that names them; the cache is a folder of copies."""
    monkeypatch.setenv("WSSS_WORKERS", "0")
    monkeypatch.setattr(verify, "cache_folder", lambda folder: tmp_path / "cache")
    root = tmp_path / "100 % mine"
    scratch = root / "scratch"
    scratch.mkdir(parents=True)
    write_toy_store(Stage("correct", "f" * 16, scratch), root / "artifacts/pseudo", tmp_path / "log")
    (root / "reports").mkdir()
    (root / "reports/table.csv").write_text("a,b\n1,2\n")
    lock = [("correct", "artifacts/pseudo"), ("evaluate", "reports/table.csv"), ("train", "artifacts/oste.pt")]
    lines = ["schema: '2.0'", "stages:"]
    for stage, path in lock:
        md5 = content_md5(root / path) if (root / path).exists() else "0" * 32
        lines += [f"  {stage}:", "    outs:", f"    - path: {path}", "      hash: md5", f"      md5: {md5}"]
    (root / "dvc.lock").write_text("\n".join(lines) + "\n")
    return root


def rewrite(store: Path) -> None:
    """The store as another run would have written it."""
    shutil.rmtree(store)
    scratch = store.parent.parent / "again"
    scratch.mkdir()
    write_toy_store(Stage("correct", "f" * 16, scratch), store, scratch / "log", ids=["set/b 1%", "set/b 2%"])


def run(checkout: Path, *options: str) -> Result:
    return CliRunner().invoke(verify.main, [str(checkout), *options])


def cached(checkout: Path, path: str) -> Path:
    """Put a copy of an output into the cache, as DVC does; its folder."""
    whole, cache = checkout / path, checkout.parent / "cache"
    files = sorted(whole.iterdir()) if whole.is_dir() else [whole]
    for file in files:
        md5 = file_md5(file)
        (cache / md5[:2]).mkdir(parents=True, exist_ok=True)
        (cache / md5[:2] / md5[2:]).write_bytes(file.read_bytes())
    if whole.is_dir():
        entries = [{"md5": file_md5(file), "relpath": file.name} for file in files]
        md5 = content_md5(whole)
        (cache / md5[:2]).mkdir(parents=True, exist_ok=True)
        (cache / md5[:2] / md5[2:]).write_text(json.dumps(entries, sort_keys=True))
    return cache


def test_everything_agrees(checkout: Path) -> None:
    for _ in range(2):
        result = run(checkout)
        assert result.exit_code == 0, result.output
        assert result.stdout == (
            f"not here, so not checked: {checkout}/artifacts/oste.pt\n"
            "verify: 2 outputs of dvc.lock and 1 stores and networks read; everything agrees\n"
            "not looked at: whether settings, code or data have changed since (dvc status tells)\n"
            "not recorded here who made: correct\n"
            "masks: not known of any stage whether they were closed (no notes here)\n"
        )
        cached(checkout, "artifacts/pseudo")


def test_what_is_noted_of_these_very_bytes_is_told(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_SCRATCH", str(checkout / "scratch"))
    store = checkout / "artifacts/pseudo"
    note_made("correct", "03fb260 with changes", 60, [(store, hash_input(store))])
    *_, made, closed = run(checkout).stdout.splitlines()
    assert made.startswith("made here by commit 03fb260 with changes on 2")
    assert made.endswith(": correct")
    assert closed == "masks were closed (60 files) while these ran: correct"
    shard, whole = store / "00001.h5", (store / "00001.h5").read_bytes()
    shard.write_bytes(whole + b"x")  # the note is of the index, which is as it was
    assert "not recorded here who made: correct\nmasks: not known of any stage" in run(checkout).stdout
    shard.write_bytes(whole)
    assert run(checkout).stdout.splitlines()[-2:] == [made, closed]
    note_made("correct", "03fb260", None, [(store, hash_input(store))])
    assert run(checkout).stdout.endswith("\nmasks: not known of any stage whether they were closed\n")
    note_made("correct", "03fb260 with changes", 60, [(store, hash_input(store))])
    found = made_here(store)["made"]
    assert (found["stage"], found["commit"]) == ("correct", "03fb260 with changes")
    rewrite(store)
    assert made_here(store) == {"made": UNKNOWN}
    gallery = checkout / "reports/gallery"
    with atomic_dir(gallery) as folder:
        (folder / "index.html").write_text("a page")
    assert made_here(gallery) == made_here(checkout / "reports/table.csv") == made_here(checkout) == {}
    note_made("gallery", "03fb260", None, ((p, hash_input(p)) for p in (gallery, checkout / "reports/table.csv")))
    for path in (gallery, checkout / "reports/table.csv"):  # which are no stores
        assert (made_here(path)["made"]["stage"], made_here(path)["made"]["commit"]) == ("gallery", "03fb260")


def test_what_the_checkout_records_is_told_on_another_machine(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("WSSS_SCRATCH", str(tmp_path / "scratch"))
    (checkout / "dvc.yaml").touch()
    store = Path("artifacts/pseudo")
    note_made("correct", "03fb260", 60, [(store, hash_input(store))])
    written = RECORD.read_bytes()
    note_made("correct", "9222917", 60, [(store, hash_input(store))])
    assert RECORD.read_bytes() == written  # the same bytes, made again: no file that git has changes
    note_made("correct", "9222917", 60, [(tmp_path / "labels", "0")])
    assert RECORD.read_bytes() == written  # made for something else
    shutil.rmtree(tmp_path / "scratch")  # as in a clone that has pulled the artifacts
    *_, made, closed = run(Path()).stdout.splitlines()
    assert made.startswith("made, as reports/made.json says, by commit 03fb260 on 2")
    assert closed == "masks were closed (60 files) while these ran: correct"
    assert made_here(checkout / store)["made"]["noted"] == "in reports/made.json, not by this machine"
    table = checkout / "reports/table.csv"
    note_made("gallery", "03fb260", None, [(table.relative_to(checkout), hash_input(table))])
    assert "not what stage" not in run(Path()).stdout
    table.write_text(f"{table.read_text()}0.9\n")
    lock = Path("dvc.lock").read_text()
    md5 = next(out.md5 for out in read_lock(Path("dvc.lock")) if out.path == Path("reports/table.csv"))
    Path("dvc.lock").write_text(lock.replace(md5, file_md5(table)))  # as dvc commit does
    text = run(Path()).stdout
    assert "everything agrees" in text
    assert "not recorded here who made: gallery" in text
    assert "not what stage gallery has made, by reports/made.json: reports/table.csv (edited since" in text
    rewrite(checkout / store)
    note_made("correct", "9222917", 60, [(store, hash_input(store))])
    assert json.loads(RECORD.read_text())["correct"]["commit"] == "9222917"


def test_an_input_that_was_made_again_later_is_told(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_SCRATCH", str(checkout / "scratch"))
    store, oste, lock = checkout / "artifacts/pseudo", checkout / "artifacts/oste.pt", checkout / "dvc.lock"
    write_oste(oste)
    md5 = file_md5(oste)
    text = lock.read_text().replace("0" * 32, md5)
    dep = f"  correct:\n    deps:\n    - path: artifacts/oste.pt\n      md5: {md5}\n"
    lock.write_text(text.replace("  correct:\n", dep))

    def noted(stage: str, path: Path, time: str) -> None:
        note_made(stage, "03fb260", 60, [(path, hash_input(path))])
        note = checkout / "scratch/made" / f"{hash_input(path)}.json"
        note.write_text(json.dumps({**json.loads(note.read_text()), "time": time}))

    noted("correct", store, "2026-11-29T09:45:00+01:00")
    noted("train", oste, "2026-11-29T08:44:00+00:00")
    key = "its input, the same bytes, was made again later"
    again = "made again later, the same bytes as what the next stages have read: train"
    assert key not in made_here(store)["made"]
    noted("train", oste, "2026-11-30T11:29:00+00:00")
    assert made_here(store)["made"][key] == "artifacts/oste.pt, at 2026-11-30T11:29:00+00:00"
    assert run(checkout).stdout.splitlines()[-1] == again
    lock.write_text(lock.read_text().replace(dep, dep.replace(md5, "1" * 32)))  # of another run
    assert key not in made_here(store)["made"]
    assert again not in run(checkout).stdout


def test_imported_labels_that_are_gone_are_told(checkout: Path) -> None:
    with (checkout / "dvc.lock").open("a") as lock:
        lock.write("  distill:\n    params: {params.yaml: {distill: {labels: artifacts/corrected}}}\n")
    line = "not here, and no output of dvc.lock: artifacts/corrected, the labels that the student learned from"
    assert line in run(checkout).stdout.splitlines()
    assert json.loads(run(checkout, "--json").stdout)["imported_absent"] == "artifacts/corrected"
    (checkout / "artifacts/corrected").mkdir()
    assert line not in run(checkout).stdout


def test_imported_labels_that_are_others_now_are_told(checkout: Path) -> None:
    labels = checkout / "artifacts/corrected"
    labels.mkdir()
    (labels / "notes.txt").write_text("x")
    relabelled = checkout / "artifacts/relabelled"
    relabelled.mkdir()
    meta = StoreMeta(PSEUDO_FORMAT, CLASSES, {LABELS_SHA: hash_input(labels)})
    write_store_index(relabelled, meta, [])
    with (checkout / "dvc.lock").open("a") as lock:
        lock.write(
            "  distill:\n    params: {params.yaml: {distill: {labels: artifacts/corrected}}}\n    outs:\n"
            f"    - {{path: artifacts/relabelled, md5: {content_md5(relabelled)}}}\n"
        )
    line = (
        "other labels now than those that the student learned from: artifacts/corrected (to learn these: dvc repro -f"
    )
    assert line not in run(checkout).stdout
    (labels / "notes.txt").write_text("y")
    assert line in run(checkout).stdout
    assert json.loads(run(checkout, "--json").stdout)["imported_changed"] == "artifacts/corrected"


def test_before_any_stage_has_run_nothing_agrees(checkout: Path) -> None:
    """As in a fresh clone: git has dvc.lock and a table of scores."""
    shutil.rmtree(checkout / "artifacts")
    result = run(checkout)
    assert (result.exit_code, result.stdout) == (
        0,
        "verify: no stage has made an artifact here yet, so nothing of dvc.lock was compared; next: dvc repro\n",
    )
    assert json.loads(run(checkout, "--json").stdout)["made"] is False
    (checkout / "reports/table.csv").write_text("edited")
    assert (
        run(checkout).stdout.splitlines()[0].endswith("table.csv: differs from dvc.lock (edited in place, or damaged)")
    )


def test_edited_file(checkout: Path) -> None:
    (checkout / "reports/table.csv").write_text("a,b\n1,3\n")
    result = run(checkout)
    assert result.exit_code == 4
    table = checkout / "reports/table.csv"
    assert result.stdout.startswith(
        f"error: {table}: differs from dvc.lock (edited in place, or damaged)\n"
        "fix: make it again: dvc repro -f -s evaluate (DVC's cache does not have it); "
        "or, only if stage evaluate was run without DVC, keep it: dvc commit evaluate\n"
    )
    table.write_text("a,b\n1,2\n")
    cached(checkout, "reports/table.csv")
    table.write_text("a,b\n1,3\n")
    fix = f"fix: restore it: dvc checkout --force {table}; or make it again: dvc repro -f -s evaluate; or, only if "
    assert run(checkout).stdout.splitlines()[1].startswith(fix)


def test_store_of_a_stage_that_was_run_without_dvc_is_no_damage(checkout: Path) -> None:
    cached(checkout, "artifacts/pseudo")
    rewrite(checkout / "artifacts/pseudo")
    found = run(checkout)
    assert found.exit_code == 4
    store = checkout / "artifacts/pseudo"
    assert found.stdout.splitlines()[:2] == [
        f"error: {store}: agrees with its own checksums, but of its files 2 differ from dvc.lock, 6 are missing "
        "(first 00000.h5)",
        f"fix: restore it: dvc checkout --force {store}; or, only if stage correct was run without DVC, keep it: dvc "
        "commit correct",
    ]
    assert "; 1 error\n" in found.stdout
    shutil.rmtree(checkout.parent / "cache")
    repro = "fix: make it again: dvc repro correct (DVC's cache does not have it as dvc.lock lists it); or, only if"
    assert run(checkout).stdout.splitlines()[1].startswith(repro)


def test_a_store_that_other_code_has_made_is_told_by_the_code(checkout: Path) -> None:
    """DVC's copy, of the old code, is no remedy."""
    cached(checkout, "artifacts/pseudo")
    (checkout / "pipeline").mkdir()
    (checkout / "pipeline/correct.py").write_text("old")
    dep = f"    deps: [{{path: pipeline/correct.py, md5: {file_md5(checkout / 'pipeline/correct.py')}}}]\n"
    lock = (checkout / "dvc.lock").read_text()
    (checkout / "dvc.lock").write_text(lock.replace("  correct:\n", f"  correct:\n{dep}"))
    rewrite(checkout / "artifacts/pseudo")
    assert "the code" not in run(checkout).stdout.splitlines()[0]
    (checkout / "pipeline/correct.py").write_text("new")
    error, fix = run(checkout).stdout.splitlines()[:2]
    assert error.endswith("; the code of stage correct is another one now than dvc.lock has (pipeline/correct.py)")
    assert fix == (
        "fix: make it by this code: dvc repro correct; or, only if stage correct was run without DVC, keep it: dvc "
        "commit correct"
    )


def test_damage_of_a_store_is_one_message(checkout: Path) -> None:
    cached(checkout, "artifacts/pseudo")
    for name in ("00001.h5", "00002.h5"):
        (checkout / "artifacts/pseudo" / name).write_bytes(b"x")
    store = checkout / "artifacts/pseudo"
    again = f"restore it: dvc checkout --force {store}; or make it again: dvc repro -f -s correct"
    assert run(checkout).stdout.splitlines()[:2] == [
        f"error: {store}: of its files 2 differ from dvc.lock (first 00001.h5): edited in place, or damaged "
        "(6 photos: set/b 3%, set/b 4%, set/b 5% and 3 more)",
        f"fix: {again}",
    ]
    (store / "mine.png").write_bytes(b"x")
    fix = run(checkout).stdout.splitlines()[1]
    assert fix == f"fix: if that is meant: dvc commit correct; else move what is yours out of {store}, then {again}"


def test_what_a_person_has_added_is_not_to_be_deleted(checkout: Path) -> None:
    masks = checkout / "data/demo"
    masks.mkdir(parents=True)
    (masks / "a.png").write_bytes(b"a")
    with (checkout / "dvc.lock").open("a") as lock:
        lock.write(f"  demo:\n    outs:\n    - path: data/demo\n      hash: md5\n      md5: {content_md5(masks)}\n")
    cached(checkout, "data/demo")
    (masks / "b.png").write_bytes(b"b")
    assert run(checkout).stdout.splitlines()[:2] == [
        f"error: {masks}/b.png: is not in dvc.lock",
        "fix: if that is meant: dvc commit demo; else move it elsewhere",
    ]


def test_file_of_a_person_in_a_store_is_not_to_be_deleted(checkout: Path) -> None:
    cached(checkout, "artifacts/pseudo")
    (checkout / "artifacts/pseudo/notes.txt").write_text("x")
    assert run(checkout).stdout.splitlines()[:2] == [
        f"error: {checkout}/artifacts/pseudo/notes.txt: is not in dvc.lock",
        "fix: if that is meant: dvc commit correct; else move it elsewhere",
    ]


def test_one_store_wherever_it_lies(checkout: Path, tmp_path: Path) -> None:
    store = checkout / "artifacts/pseudo"
    both = "compared with dvc.lock and its own checksums; everything agrees\n"
    assert run(store).stdout == f"verify: {store}: {both}"
    copied = Path(shutil.copytree(store, tmp_path / "copied"))
    assert run(copied).stdout == f"verify: {copied}: compared with its own checksums; everything agrees\n"
    (copied / "00000.h5").write_bytes(b"x")
    found = run(copied, "--json")
    assert found.exit_code == 4
    assert [error["file"] for error in json.loads(found.stdout)["errors"]] == [f"{copied}/00000.h5"]
    rewrite(store)
    assert "agrees with its own checksums, but differs from dvc.lock" in run(store).stdout


def test_one_shard_without_its_store(checkout: Path, tmp_path: Path) -> None:
    lone = Path(shutil.copy(checkout / "artifacts/pseudo/00000.h5", tmp_path / "lone.h5"))
    assert run(lone).stdout == f"verify: {lone}: compared with its own checksums; everything agrees\n"
    data = bytearray(lone.read_bytes())
    data[len(data) // 2] ^= 1
    for altered, what in (
        (bytes(data), "damaged or edited (its checksum differs)"),
        (b"x", "cut short, or not written"),
    ):
        lone.write_bytes(altered)
        found = run(lone)
        assert (found.exit_code, f"error: {lone}: {what}" in found.stdout) == (4, True)
        assert f"\nfix: copy {lone} again, or make it again\n" in found.stdout


def test_the_lock_is_found_above_any_folder_and_file(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever has no checksums of its own is compared with it, too; and a link leads to it."""
    with (checkout / "dvc.lock").open("a") as lock:
        for stage, path in (("index", "artifacts/masks.csv"), ("demo", "artifacts/drawn")):
            (checkout / path).parent.mkdir(exist_ok=True)
            if path.endswith(".csv"):
                (checkout / path).write_text("a")
            else:
                (checkout / path / "deep").mkdir(parents=True)
                (checkout / path / "deep/a.txt").write_text("a")
            lock.write(f"  {stage}:\n    outs:\n    - {{path: {path}, md5: {content_md5(checkout / path)}}}\n")
    monkeypatch.chdir(checkout)
    Path("elsewhere").symlink_to(checkout / "artifacts")
    read = "verify: 3 outputs of dvc.lock and 1 stores and networks read; everything agrees"
    for place in ("artifacts", "elsewhere", str(checkout / "artifacts")):
        assert read in run(Path(place)).stdout, place
    assert "verify: 1 outputs of dvc.lock and 0 stores and networks read; everything" in run(Path("reports")).stdout
    for path, what in (
        ("artifacts/masks.csv", ""),
        ("artifacts/drawn", ""),
        ("artifacts/drawn/deep/a.txt", "all of artifacts/drawn "),
        ("artifacts/drawn/deep", "all of artifacts/drawn "),
    ):
        told = run(Path(path))
        assert told.stdout == f"verify: {path}: {what}compared with dvc.lock; everything agrees\n", told.output
    told = run(Path("artifacts/pseudo/00000.h5")).stdout
    assert "00000.h5: all of artifacts/pseudo compared with dvc.lock and its own checksums; every" in told
    for path in ("artifacts/masks.csv", "artifacts/drawn/deep/a.txt", "reports/table.csv"):
        (checkout / path).write_text("altered")
    for path in ("artifacts", "reports", "artifacts/masks.csv", "artifacts/drawn/deep", "reports/table.csv"):
        told = run(Path(path))
        assert (told.exit_code, "differs from dvc.lock" in told.stdout) == (4, True), path
    monkeypatch.chdir("artifacts")
    told = run(Path())
    assert (told.exit_code, "; 2 errors\n" in told.stdout) == (4, True)


def test_what_nothing_is_known_of(checkout: Path) -> None:
    (checkout / "notes.txt").write_text("x")
    told = run(checkout / "notes.txt")
    what = f"nothing to verify it by: no output of {checkout}/dvc.lock, and it has no checksums of its own"
    assert (told.exit_code, f"notes.txt: {what}" in told.stderr) == (2, True)
    told = run(checkout / "report").stderr
    assert "report: no such file or folder (did you mean '" in told
    (checkout / "mine").mkdir()
    shutil.copytree(checkout / "artifacts/pseudo", checkout / "mine/labels")
    assert "no output of dvc.lock: only the artifacts' own checksums were checked" in run(checkout / "mine").stdout


def test_marked_folder_has_checksums_of_its_own(tmp_path: Path) -> None:
    with atomic_dir(tmp_path / "gallery") as folder:
        (folder / "index.html").write_text("x")
    assert run(tmp_path / "gallery").exit_code == 0
    (tmp_path / "gallery/index.html").write_text("y")
    found = run(tmp_path / "gallery")
    assert (found.exit_code, "index.html: is damaged" in found.stdout) == (4, True)


def test_files_of_a_folder_are_named_where_the_cache_has_their_list(checkout: Path) -> None:
    cached(checkout, "artifacts/pseudo")
    store = checkout / "artifacts/pseudo"
    (store / "00001.h5").unlink()
    (store / "extra.txt").write_text("")
    (store / "index.json").write_text("{}")
    found = [
        str(error).splitlines()[0] for error in damages(read_lock(checkout / "dvc.lock")[0], checkout.parent / "cache")
    ]
    assert found == [
        f"error: {store}/00001.h5: is missing, but dvc.lock has it",
        f"error: {store}/index.json: differs from dvc.lock (edited in place, or damaged)",
        f"error: {store}/extra.txt: is not in dvc.lock",
    ]


def test_damaged_cache_is_found_though_the_workspace_is_whole(checkout: Path) -> None:
    cache = cached(checkout, "artifacts/pseudo")
    md5 = file_md5(checkout / "artifacts/pseudo/00002.h5")
    copy = cache / md5[:2] / md5[2:]
    copy.write_bytes(b"x")
    result = run(checkout)
    assert result.exit_code == 4
    path = checkout / "artifacts/pseudo/00002.h5"
    assert f"error: {copy}: cached copy of {path} differs from its name (edited in place, or damaged)" in result.stdout
    assert f"fix: delete {copy} and {path}, then: dvc repro -f -s correct" in result.stdout


def test_damaged_list_in_the_cache(checkout: Path) -> None:
    cache = cached(checkout, "artifacts/pseudo")
    md5 = content_md5(checkout / "artifacts/pseudo")
    (cache / md5[:2] / md5[2:]).write_text("[]")
    assert "cached list of" in run(checkout).stdout


def test_json_and_one_message_a_file(checkout: Path) -> None:
    cached(checkout, "artifacts/pseudo")
    shard = checkout / "artifacts/pseudo/00003.h5"
    shard.write_bytes(shard.read_bytes()[:-1])
    result = run(checkout, "--json")
    assert result.exit_code == 4
    report = json.loads(result.stdout)
    assert [error["file"] for error in report["errors"]] == [str(shard)]
    assert (report["lock"], report["outputs"], report["own_checksums"], report["made"]) == (True, 3, 1, True)
    assert report["absent"] == [str(checkout / "artifacts/oste.pt")]


def test_without_a_lock_own_checksums_are_compared(checkout: Path) -> None:
    (checkout / "dvc.lock").unlink()
    assert "no dvc.lock: only the artifacts' own checksums were checked" in run(checkout).stdout
    (checkout / "artifacts/pseudo/00000.h5").write_bytes(b"")
    result = run(checkout)
    assert result.exit_code == 4
    ids = PseudoStore(checkout / "artifacts/pseudo").ids
    named = f"(damaged, cut or edited; 3 photos: {', '.join(ids[:3])})"
    assert f"00000.h5: differs from its checksum in index.json {named}" in result.stdout
    (checkout / "artifacts/pseudo/00000.h5").unlink()
    assert f"00000.h5: is missing, but index.json lists it (3 photos: {', '.join(ids[:3])})" in run(checkout).stdout


@pytest.mark.parametrize("content", ["", "stages: 3\n", "stages: {a: {outs: [{path: x}]}}\n", "a: [", "\0"])
def test_lock_that_is_none(checkout: Path, content: str) -> None:
    (checkout / "dvc.lock").write_text(content)
    with pytest.raises(IntegrityError, match=r"dvc\.lock: not a lock file of DVC") as caught:
        read_lock(checkout / "dvc.lock")
    assert caught.value.fix.endswith("or make it again: dvc repro")
    assert run(checkout).exit_code == 4


def test_folder_that_is_none(tmp_path: Path) -> None:
    result = run(tmp_path / "nowhere")
    assert (result.exit_code, result.stderr.splitlines()[1]) == (2, "fix: give the folder of dvc.yaml, or a store")


def test_nothing_to_verify(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.exit_code == 2
    assert result.stderr == (
        f"error: {tmp_path}: nothing to verify: no dvc.lock and no artifacts\nfix: run dvc repro, or give its folder\n"
    )


def test_masks_of_predictions(tmp_path: Path) -> None:
    out = fill(tmp_path / "found", IDS[:3])
    assert run(out).stdout == f"verify: {out}: 3 masks: 3 of an earlier wsss, which noted no checksums\n"
    folder = Folder(out, {})
    folder.read()
    folder.checksums = {name: Checksums("", digest(predicted_label(name))) for name in IDS[:3]}
    folder.write_table()
    assert run(out).stdout == f"verify: {out}: 3 masks: 3 as written\n"
    folder.mask(IDS[0]).write_bytes(b"no picture")
    edited = run(out)
    assert (edited.exit_code, edited.stdout) == (
        0,
        f"verify: {out}: 3 masks: 2 as written, 1 edited since ({IDS[0]})\n",
    )
    folder.mask(IDS[1]).unlink()
    missing = run(out)
    assert missing.exit_code == 4
    assert missing.stdout.splitlines()[0] == f"error: {out}/masks: not there: {IDS[1]}"
    assert missing.stdout.endswith(f"3 masks: 1 as written, 1 edited since ({IDS[0]}), 1 missing\n")
    report = json.loads(run(out, "--json").stdout)
    assert (report["as_written"], report["edited"], report["missing"]) == (1, [IDS[0]], [IDS[1]])
