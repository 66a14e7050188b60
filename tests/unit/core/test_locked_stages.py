"""What a lock says of stages of several runs: whose settings hold, what is older than its inputs, whose code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wsss.core.errors import IntegrityError
from wsss.core.locked_files import read_settings, read_stages
from wsss.core.locked_stages import code_of, newer_stage

READS = {
    "demo": [],
    "index": [],
    "cams": ["index"],
    "correct": ["index", "cams"],
    "evaluate": ["index", "cams", "correct"],
    "gallery": ["cams", "correct", "evaluate"],
}
"""The photos of `index` are the reader's own, so nothing reads those of `demo`."""


def lock(folder: Path, order: list[str] | None = None, root: str = "/photos", **changed: dict[str, Any]) -> Path:
    """A lock of stages that each make the file of their name; `changed`: entries by stage. Returns its path."""
    stages: dict[str, Any] = {}
    for stage, reads in READS.items():
        code = {"path": f"wsss/{stage}.py", "md5": "c0de"}
        entry = {"deps": [{"path": root, "md5": "raw"}] if stage == "index" else []}
        entry["deps"] += [{"path": path, "md5": f"{path} 0"} for path in reads] + [code]
        stages[stage] = entry | {"outs": [{"path": stage, "md5": f"{stage} 0"}]}
        stages[stage] |= changed.get(stage, {})
    path = folder / "dvc.lock"
    path.write_text(json.dumps({"stages": {name: stages[name] for name in order or stages}}))
    return path


def remade(stage: str) -> dict[str, Any]:
    return {"outs": [{"path": stage, "md5": f"{stage} 1"}]}


def ran_with(**sections: Any) -> dict[str, Any]:
    return {"params": {"params.yaml": sections}}


def test_stages_come_after_those_that_they_read_from(tmp_path: Path) -> None:
    order = list(read_stages(lock(tmp_path, [*reversed(READS)])))
    assert all(order.index(one) < order.index(stage) for stage, reads in READS.items() for one in reads)
    cycle = {"index": {"deps": [{"path": "evaluate", "md5": "x"}]}}
    with pytest.raises(IntegrityError, match=r"not a lock file of DVC \(CycleError\)"):
        read_stages(lock(tmp_path, **cycle))


@pytest.mark.parametrize("order", [[*READS], [*reversed(READS)]], ids=["in order", "reversed"])
def test_a_setting_is_that_of_the_first_stage_that_reads_it(tmp_path: Path, order: list[str]) -> None:
    """`gallery` is of a run before, as after `dvc exp run evaluate`, and `demo` of the committed one."""
    path = lock(
        tmp_path,
        order,
        demo=ran_with(seed=0, demo={"size": 160}),
        index=ran_with(seed=1),
        cams=ran_with(inference={"batch": 4}, cams={"scales": [2.0]}),
        evaluate=ran_with(inference={"batch": 8}, evaluate={"scales": [1.5]}),
        gallery=ran_with(seed=0, cams={"scales": [1.0]}, evaluate={"scales": [1.0]}, gallery={"images": 6}),
    )
    assert read_settings(path) == {
        "seed": 1,
        "inference": {"batch": 4},
        "cams": {"scales": [2.0]},
        "evaluate": {"scales": [1.5]},
        "gallery": {"images": 6},
        "demo": {"size": 160},
    }


def test_a_lock_that_ends_at_a_stage_keeps_its_settings(tmp_path: Path) -> None:
    path = lock(tmp_path, ["index", "cams"], cams=ran_with(cams={"scales": [2.0]}))
    assert read_settings(path) == {"cams": {"scales": [2.0]}}


def test_what_is_older_than_what_it_comes_from(tmp_path: Path) -> None:
    assert newer_stage(lock(tmp_path), "evaluate") is None
    path = lock(tmp_path, correct=remade("correct"))
    assert (newer_stage(path, "evaluate"), newer_stage(path, "correct")) == ("correct", None)
    # By way of another stage: correct has not run since, and evaluate has read nothing but what it made.
    direct = {"deps": [{"path": "correct", "md5": "correct 0"}]}
    path = lock(tmp_path, cams=remade("cams"), evaluate=direct)
    assert [newer_stage(path, each) for each in ("cams", "correct", "evaluate")] == [None, "cams", "cams"]
    assert newer_stage(path, "unknown") is None
    # Of two, the first.
    path = lock(tmp_path, cams=remade("cams"), correct=remade("correct"))
    assert newer_stage(path, "evaluate") == "cams"


def test_code_is_that_of_all_stages_an_output_comes_from(tmp_path: Path) -> None:
    path = lock(tmp_path)
    assert code_of(path, "correct") == {name: {f"wsss/{name}.py": "c0de"} for name in ("index", "cams", "correct")}
    assert set(code_of(path, "evaluate")) == {"index", "cams", "correct", "evaluate"}
    assert set(code_of(lock(tmp_path, root="demo"), "index")) == {"demo", "index"}
    assert code_of(path, "unknown") == {}
