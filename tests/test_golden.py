"""What the recipes compute stays what it is: a run of seconds of each, every array, tensor, CSV column and score.

On a processor of the kind that made `golden/recipes.json`, with the same libraries, to the bit; elsewhere the means,
within what another order of sums may change in a few steps. Where a change is
meant: `python -m tests.test_golden results`; for a new key or default: `python -m tests.test_golden settings`.
"""

from __future__ import annotations

import csv
import hashlib
import importlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any
from unittest import mock

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from ruamel.yaml import YAML

from wsss.commands.sections import Sections
from wsss.core.params import flat, load

REPO = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "golden" / "recipes.json"
SETTINGS = Path(__file__).parent / "golden" / "settings.json"
STAGES = list(YAML(typ="safe").load((REPO / "dvc.yaml").read_text(encoding="utf-8"))["stages"])
RECIPES = ("demo", "baseline", "msrc")
ALL_RECIPES = sorted(path.stem for path in (REPO / "recipes").glob("*.yaml"))
TINY: dict[str, Any] = {
    "demo": {"train": 12, "val": 4, "size": 64},
    "pretrain": {
        "backbone": {"name": "tiny", "weights": "random"},
        "augment": {"crop": 64},
        "optim": {"epochs": 1, "precision": "32-true"},  # 16 bit depend on the processor by more than the last bits
        "verdict": "warn",  # a network of random weights learns nothing in these steps
    },
    "train": {
        "verdict": "warn",
        "channels": 32,
        "augment": {"crop": 64},
        "optim": {"epochs": 2, "precision": "32-true"},
    },
    "cams": {"precision": "bf16-mixed"},
    "distill": {
        "backbone": {"name": "tiny", "weights": "random"},
        "channels": 32,
        "augment": {"crop": 64},
        "optim": {"epochs": 3, "precision": "32-true"},
    },
    "gallery": {"images": 4, "width": 64},
}


def machine() -> str:
    """What bits depend on: the processor's instructions and the libraries that compute."""
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    known = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f" {flag}" in flags]
    return f"{platform.machine()} {' '.join(known)}; torch {torch.__version__}, numpy {np.__version__}"


def run_recipe(name: str) -> None:
    """The whole pipeline in the working folder."""
    yaml = YAML()
    params = yaml.load((REPO / f"recipes/{name}.yaml").read_text(encoding="utf-8"))
    params["dataset"] = yaml.load((REPO / "recipes/demo.yaml").read_text(encoding="utf-8"))["dataset"]
    merge(params, TINY)
    if params["distill"]["rounds"] == 2:
        merge(params, {"distill": {"stage1": {"epochs": 1}}})
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(params, file)
    for stage in STAGES:
        result = CliRunner().invoke(importlib.import_module(f"pipeline.{stage}").main, [])
        assert result.exit_code == 0, (stage, result.stderr)


def merge(into: Any, changes: Mapping[str, Any]) -> None:
    """Set the values of `changes` in nested mappings, and leave all others."""
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


def found() -> Iterator[tuple[str, str, float]]:
    """(name, digest, mean) of everything that the run in the working folder has made."""
    for index in sorted(Path("artifacts").glob("*/index.json")):
        arrays: dict[str, dict[str, np.ndarray]] = {}
        for shard in sorted(index.parent.glob("*.h5")):
            with h5py.File(shard, "r", locking=False) as file:  # as a store that is open still
                for photo in file:
                    for field in file[photo]:
                        arrays.setdefault(field, {})[photo] = np.asarray(file[photo][field])
        for field, by_photo in sorted(arrays.items()):
            whole = [by_photo[photo] for photo in sorted(by_photo)]
            data = b"".join(f"{part.dtype}{part.shape}".encode() + part.tobytes() for part in whole)
            values = np.concatenate([part.ravel() for part in whole]).astype(np.float64)
            yield f"{index.parent.name}/{field}", digest(data), float(np.nanmean(values)) if values.size else 0.0
    for path in sorted(Path("artifacts").glob("*.pt")):
        state = torch.load(path, weights_only=True)["state"].values()
        yield path.name, digest(path.read_bytes()), float(sum(tensor.double().abs().mean() for tensor in state))
    for path in [*sorted(Path("artifacts").rglob("*.csv")), *sorted(Path("reports").glob("*.csv"))]:
        with path.open(encoding="utf-8", newline="") as text:
            rows = list(csv.DictReader(text))
        for column in rows[0] if rows else ():
            cells = [row[column] for row in rows]
            yield f"{path.name}/{column}", digest("\n".join(cells).encode()), mean(cells)
    for name, value in json.loads(Path("reports/metrics.json").read_text(encoding="utf-8")).items():
        yield f"metrics/{name}", digest(str(value).encode()), float(value)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def mean(cells: list[str]) -> float:
    """Of the cells that are numbers."""
    numbers = []
    for cell in cells:
        try:
            numbers.append(float(cell))
        except ValueError:
            continue
    return float(np.mean(numbers)) if numbers else 0.0


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_computes_what_it_did(recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WSSS_WORKERS", "0")
    run_recipe(recipe)
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))
    before = kept["results"][recipe]
    now = {name: [hashed, value] for name, hashed, value in found()}
    assert now.keys() == before.keys()
    if kept["machine"] == machine():
        assert {name for name in now if now[name][0] != before[name][0]} == set()
    for name, (_, value) in now.items():
        old = before[name][1]
        assert value == pytest.approx(old, rel=0.25, abs=0.1), name


@pytest.mark.parametrize("recipe", ALL_RECIPES)
def test_a_recipe_resolves_to_what_it_did(recipe: str) -> None:
    """A default that changes in the code shows here, for each recipe that does not write its key."""
    assert resolved(recipe) == json.loads(SETTINGS.read_text(encoding="utf-8"))[recipe]


def resolved(recipe: str) -> dict[str, Any]:
    """Every setting of a recipe by its key, defaults included, on a machine that has bf16."""
    with mock.patch("wsss.numeric.half.fast_bf16", return_value=True):
        return flat(load(REPO / f"recipes/{recipe}.yaml", Sections))


@pytest.mark.parametrize("recipe", ALL_RECIPES)
def test_a_recipe_holds_what_is_its_own(recipe: str) -> None:
    text = (REPO / f"recipes/{recipe}.yaml").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 64  # backbones stand in lines of their own, for DVC
    assert len(leaves(YAML(typ="safe").load(text))) <= 90


def leaves(node: Any) -> list[Any]:
    return [leaf for value in node.values() for leaf in leaves(value)] if isinstance(node, dict) else [node]


def write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main(what: str) -> None:
    """Write `settings`, or `results`, anew."""
    if what == "settings":
        write(SETTINGS, {name: resolved(name) for name in ALL_RECIPES})
        return
    os.environ["WSSS_WORKERS"] = "0"
    results = {}
    for recipe in RECIPES:
        with tempfile.TemporaryDirectory() as folder, chdir(folder):
            run_recipe(recipe)
            results[recipe] = {name: [hashed, round(value, 6)] for name, hashed, value in found()}
    write(RESULTS, {"machine": machine(), "results": results})


if __name__ == "__main__":
    main(sys.argv[1])
