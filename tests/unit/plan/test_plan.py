"""The plan of a data set: its numbers are those that the stages use, and its estimate follows them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from ruamel.yaml import YAML

from tests.conftest import RawData
from tests.toy_probe import steady_probe
from wsss.commands.plan import main
from wsss.core.environment import scratch_root
from wsss.core.errors import IntegrityError, UserError
from wsss.core.params import load
from wsss.core.recipes import read_recipe
from wsss.data.index import Index, Record
from wsss.formats.build import examine
from wsss.models.backbones.registry import BACKBONES
from wsss.plan import probe as timing
from wsss.plan.estimate import LOW, START, batches, estimate, heaviest, slower
from wsss.plan.fingerprint import fingerprint, grey_fraction, read_size
from wsss.plan.probe import Cost, Probe, Timer
from wsss.plan.settings import Params
from wsss.plan.values import Training, trainings, values
from wsss.plan.weights import SOURCES, missing_weights, models_to_fetch
from wsss.plan.work import probe
from wsss.training.crops import SHARES
from wsss.training.rules import STEPS, pixels, planned, steps

PARAMS = Path("params.yaml")
TINY = {"name": "tiny", "weights": "random"}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are not written into the repository."""
    monkeypatch.chdir(tmp_path)


def settings(root: Path, recipe: str = "photos", **changes: Any) -> Params:
    """The recipe `photos`, or another, for the folder `root`; `changes` by section."""
    document = YAML(typ="safe").load(read_recipe(recipe))
    document["dataset"] = {"root": str(root), "format": "folder"}
    for section, keys in changes.items():
        document[section] = {**document[section], **keys}
    YAML().dump(document, PARAMS)
    return load(PARAMS, Params)


@pytest.fixture
def herd(raw_data: RawData) -> RawData:
    """20 photos of 2 sizes, 5 of them for validation, 3 without a tag."""
    lines = ["filename,tags,split"]
    for number in range(20):
        name = raw_data.photo(f"p{number:02}.png", (96, 128) if number < 16 else (64, 64)).name
        tags = "" if number % 7 == 1 else ("cow", "sheep", "cow|sheep")[number % 3]
        lines.append(f"{name},{tags},{'val' if number % 4 == 3 else 'train'}")
    raw_data.write("tags.csv", "\n".join(lines) + "\n")
    return raw_data


def index_of(params: Params) -> Index:
    return examine(params.dataset, params.seed)[0].index


def record(name: str, height: int, width: int, split: str = "train") -> Record:
    return Record(name, split, f"{name}.png", None, (1,), height, width, "0" * 64)


def test_fingerprint(herd: RawData) -> None:
    params = settings(herd.root, dataset={"allow_untagged": True})
    index = index_of(params)
    found = fingerprint(index, params.location.photos(index.records))
    assert dict(found.photos) == {"train": 15, "val": 5}
    assert (found.classes, found.untagged, found.most_tags, found.sizes) == (2, 3, 2, 2)
    assert found.longer == (64, 128, 128)
    assert found.grey == 0
    assert found.lines() == [
        "photos   20 (15 train, 5 val), 3 without a tag",
        f"classes  2; {found.tags:.1f} tags a photo, at most 2",
        "sizes    longer side 128 px in the middle, 64 to 128 px; 2 sizes, colour",
        "read at  320 px, the median longer side of what every stage gets (dataset.long_side)",
    ]


def test_grey_photos_are_seen_as_such_also_as_colour_jpeg(raw_data: RawData) -> None:
    rng = np.random.default_rng(0)
    for number in range(4):
        pixels = np.repeat(rng.integers(0, 256, (40, 50, 1), dtype=np.uint8), 3, 2)
        Image.fromarray(pixels).save(raw_data.root / f"g{number}.jpg", quality=70)
    raw_data.write("tags.csv", "filename,tags\n" + "".join(f"g{n}.jpg,a\n" for n in range(4)))
    params = settings(raw_data.root)
    index = index_of(params)
    photos = params.location.photos(index.records)
    assert fingerprint(index, photos).colour == "grey"
    raw_data.write("g0.jpg", b"")
    assert grey_fraction(photos, index.records) == 1  # of those that can be read
    assert grey_fraction(photos, [each for each in index.records if each.id == "g0"]) is None


def test_read_size_is_the_median_longer_side() -> None:
    assert read_size([record("a", 10, 30), record("b", 50, 20), record("c", 90, 91)]) == 50


def test_derived_numbers_are_those_of_the_rules(herd: RawData) -> None:
    params = settings(herd.root, dataset={"allow_untagged": True, "long_side": 0})
    index = index_of(params)
    records = index.split("train")
    first, second, third = made = trainings(params, index)
    assert first.optim == planned(params.pretrain.optim, "pretrain", 15, 2)
    assert first.steps == first.optim.epochs * (15 // 8)
    assert first.steps == pytest.approx(steps("pretrain", 15, 2), abs=1)
    assert first.crops == (pixels(records, 1.0),) * 2 == (128, 128)
    assert second.crops == (pixels(records, SHARES[0]), pixels(records, SHARES[-1])) == (64, 128)
    assert third.optim == params.distill.planned(records, 2).optim
    text = {f"{each.stage} {each.name}": (each.value, each.rule) for each in values(params, index, made)}
    assert text["pretrain length"] == (
        f"{first.optim.epochs} epochs, {first.steps} steps",
        f"{STEPS['pretrain']:g} · √(photos) steps of 8",
    )
    assert text["train crops"][0] == "64 to 128 px"
    assert text["distill length"][0].endswith(" steps in 2 rounds")
    assert text["distill crops"][1] == "0.6 of the photos' longer side, in steps of 64, at most 512"
    assert text["inference shards"] == ("4 photos", "photos / 16, 4 to 32")
    assert text["dataset read size"][0] == "128 px"


def test_what_is_written_is_no_rule(herd: RawData) -> None:
    written = {"augment": {"crop": 96}, "optim": {"epochs": 3}}
    params = settings(herd.root, dataset={"allow_untagged": True}, train=written, inference={"shard_size": 7})
    index = index_of(params)
    made = trainings(params, index)
    assert (made[1].optim.epochs, made[1].steps, made[1].crops) == (3, 3, (96, 96))
    rules = {f"{each.stage} {each.name}": each.rule for each in values(params, index, made)}
    assert rules["train length"] == rules["train crops"] == rules["inference shards"] == "as params.yaml says"


def test_photos_of_one_size_in_one_shard_go_together() -> None:
    records = [record(f"{n:02}", 40, 40 if n < 10 else 80) for n in range(20)]
    params = settings(Path("x"), inference={"shard_size": 10, "batch": 8})
    assert [len(batch) for batch in batches(params, records)] == [8, 2, 8, 2]
    assert heaviest(params, records, alone=False) == pytest.approx(8 * 80 / 60)
    assert heaviest(params, records, alone=True) == pytest.approx(80 / 60)


def known(params: Params, **changes: float) -> dict[str, Any]:
    """The estimate for 100 photos of one size with the costs of `steady_probe`."""
    records = tuple(record(f"{n:03}", 64, 64, "val" if n < 20 else "train") for n in range(100))
    optim = params.train.optim.model_copy(update={"epochs": 5})
    made = tuple(Training(stage, optim, 50, (64, 128)) for stage in ("pretrain", "train", "distill"))
    if not params.train.enabled:  # the quick recipe
        made = (Training("distill", optim, 50, None),)
    index = Index(("background", "a"), records)
    return {each.stage: each for each in estimate(params, index, made, steady_probe(**changes))}


def test_estimate_counts_photos_and_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_WORKERS", "2")
    monkeypatch.setenv("WSSS_DEVICE", "cpu")
    found = known(settings(Path("x"), inference={"shard_size": 10}))
    # 10 shards of 10 photos: batches of 8 and 2, on two processes.
    assert found["cams"].low == pytest.approx(START + LOW * (START + (20 * 0.02 + 100 * 0.1) / 2))
    # 50 steps of 8 crops; the largest crops have four times the pixels.
    step, larger = 0.02 + 0.8, 0.02 + 3.2
    assert found["train"].high > found["train"].low + 50 * (larger - step)
    # Three looks at 80 training photos, six at 20 for validation.
    seen, asked = 10 * 0.02 + 80 * 0.1, 3 * 0.02 + 20 * 0.1
    trained = 50 * (step + step / 2)
    assert found["pretrain"].low == pytest.approx(START + LOW * (trained + 3 * seen + 6 * asked))
    assert found["correct"].memory == pytest.approx(500e6 + 2 * (500e6 + 10e6))
    assert found["pretrain"].memory == pytest.approx(800e6 + 8 * 10e6 * 4 + 2 * 350e6)
    assert found["cams"].memory == pytest.approx(500e6 + 2 * (500e6 + 80e6))


def test_small_sets_are_expected_to_start_no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WSSS_WORKERS", raising=False)
    monkeypatch.setenv("WSSS_DEVICE", "cpu")
    monkeypatch.setattr("wsss.plan.estimate.workers", lambda: 2)
    found = known(settings(Path("x"), inference={"shard_size": 10}))
    assert found["cams"].low == pytest.approx(START + LOW * (20 * 0.02 + 100 * 0.1))


def test_estimate_of_the_quick_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_WORKERS", "2")
    monkeypatch.setenv("WSSS_DEVICE", "cpu")
    found = known(settings(Path("x"), "quick", inference={"shard_size": 10}))
    # Two looks at 80 training photos, one at 20 for validation; then the tags once more.
    seen, asked = 10 * 0.02 + 80 * 0.1, 3 * 0.02 + 20 * 0.1
    assert found["pretrain"].low == pytest.approx(START + LOW * (2 * seen + asked))
    assert found["train"].low == pytest.approx(START + LOW * asked)
    # 50 steps on the cells of 8 photos, after one look at all; two processes relabel 8 shards; 5 epochs are shown.
    relabelled = START + (16 * 0.02 + 80 * 0.1) / 2
    shown = 5 * 4 * 0.12
    assert found["distill"].low == pytest.approx(START + LOW * (50 * 0.82 + seen + relabelled + shown))
    assert "pretrain" not in {each.stage for each in found.values() if each.memory}


def test_trainings_of_the_quick_recipe(herd: RawData) -> None:
    params = settings(herd.root, "quick", dataset={"allow_untagged": True, "long_side": 0})
    index = index_of(params)
    (third,) = made = trainings(params, index)
    assert (third.stage, third.crops) == ("distill", None)
    assert third.optim == params.distill.planned(index.split("train"), 2).optim
    names = [f"{each.stage} {each.name}" for each in values(params, index, made)]
    assert names[:2] == ["distill length", "inference shards"]


def test_work_of_the_quick_recipe_is_measured(herd: RawData) -> None:
    changes: dict[str, Any] = {
        "pretrain": {"backbone": TINY, "tune": False},
        "distill": {"backbone": TINY},
        "cams": {"precision": "32-true"},
    }
    params = settings(herd.root, "quick", dataset={"allow_untagged": True}, **changes)
    index = index_of(params)
    made = trainings(params, index)
    found = probe(params, index, params.location.photos(index.records), made)
    assert set(found.costs) == set(steady_probe().costs) - {"load", "pretrain", "train"}
    assert all(cost.of(1) > 0 for cost in found.costs.values())  # eight may take no longer than one
    assert all(each.high > each.low > 0 for each in estimate(params, index, made, found))


def test_more_workers_are_faster_only_where_there_are_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    params = settings(Path("x"))
    times = {}
    for count, cores in ((1, 2), (2, 2), (8, 2), (8, 8)):
        monkeypatch.setenv("WSSS_WORKERS", str(count))
        times[count, cores] = known(params, cores=cores)["cams"].low
    assert times[1, 2] > times[2, 2] == times[8, 2] > times[8, 8]


def test_other_work_makes_processes_slower() -> None:
    assert slower(steady_probe(), 2) == 1
    assert slower(steady_probe(load=2.0), 2) == pytest.approx((2 / 3) / (2 / 4))
    assert slower(steady_probe(load=0.5), 1) == 1


def clocks(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Seconds that pass, and those of the processor."""
    times = {"passed": 0.0, "worked": 0.0}
    monkeypatch.setattr(timing.time, "perf_counter", lambda: times["passed"])
    monkeypatch.setattr(timing.time, "process_time", lambda: times["worked"])
    return times


def test_a_cost_has_a_part_for_each_and_one_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    times, calls, timer = clocks(monkeypatch), list[int](), Timer()

    def run(units: int) -> None:
        calls.append(units)
        times["worked"] += (0.03 + 0.03 * units) * (1 if calls.count(units) > 1 else 10)  # the first of a size compiles

    found = timer.measured(run, 8)
    assert calls == [1, 1, 8, 8, 8]
    assert (found.once, found.seconds) == (pytest.approx(0.03), pytest.approx(0.03))
    assert found.of(8) == pytest.approx(0.27)
    assert found.scaled(4).of(1) == pytest.approx(0.15)


def test_other_work_stretches_all_costs_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    times, timer = clocks(monkeypatch), Timer()

    def run(units: int) -> None:
        times["worked"] += 0.1 * units
        times["passed"] += 0.1 * units * wait

    assert timer.stretch == 1
    wait = 9  # the cores were taken in that moment
    first = timer.measured(run, 4)
    wait = 1
    second = timer.measured(run, 4)
    assert (first.of(8), second.of(8)) == (pytest.approx(0.8), pytest.approx(0.8))
    assert timer.stretch == pytest.approx(5)
    assert first.stretched(timer.stretch).seconds == pytest.approx(0.5)


def test_what_takes_long_is_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    times, calls = clocks(monkeypatch), list[int]()

    def run(units: int) -> None:
        calls.append(units)
        times["worked"] += 2.0 * units

    assert Timer().measured(run, 8).of(3) == 6.0
    assert calls == [1, 1]


def test_what_is_over_in_a_moment_is_seen_by_a_coarse_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    times = clocks(monkeypatch)
    monkeypatch.setattr(timing.time, "process_time", lambda: times["worked"] // 0.01 / 100)

    def run(units: int) -> None:
        times["worked"] += 0.0021 * units

    found = Timer().measured(run, 2)
    assert found.of(1) == pytest.approx(0.0021, rel=0.2)
    assert found.of(2) == pytest.approx(0.0042, rel=0.2)


MEMORY = """
import torch
from wsss.numeric.heap import keep_freed_memory
from wsss.plan.probe import Timer

def run(units):
    torch.ones(units, 25_000_000).sum()

print(Timer().measured(run, 2).memory)
keep_freed_memory()
run(4)
print(Timer().measured(run, 2).memory)
"""
"""In a process of its own: in a heap that other tests have broken up, a block may not find the place of the last."""


def test_memory_is_what_the_work_takes() -> None:
    printed = subprocess.run([sys.executable, "-c", MEMORY], check=True, capture_output=True, text=True).stdout
    assert [float(line) for line in printed.splitlines()] == pytest.approx([100e6, 100e6], rel=0.3)


def test_every_kind_of_work_is_measured_and_nothing_is_left_changed(herd: RawData) -> None:
    wild = {"optim": {"lr": 1e20, "precision": "32-true"}}  # a step at this rate leaves no finite number
    changes: dict[str, Any] = {
        "pretrain": {"backbone": TINY, **wild},
        "train": {"channels": 32, **wild},
        "distill": {"backbone": TINY, "channels": 32, **wild},
        "cams": {"precision": "32-true"},
    }
    params = settings(herd.root, dataset={"allow_untagged": True}, **changes)
    index = index_of(params)
    before = torch.get_num_threads(), torch.get_deterministic_debug_mode(), torch.get_rng_state()
    found = probe(params, index, params.location.photos(index.records), trainings(params, index))
    after = torch.get_num_threads(), torch.get_deterministic_debug_mode(), torch.get_rng_state()
    assert before[:2] == after[:2]
    assert torch.equal(before[2], after[2])
    assert set(found.costs) == set(steady_probe().costs)
    assert all(cost.of(1) > 0 for cost in found.costs.values())  # eight may take no longer than one
    assert found.settled >= found.base > 50e6
    assert all(each.high > each.low > 0 for each in estimate(params, index, trainings(params, index), found))


def test_command(herd: RawData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsss.plan.work.probe", lambda *ignored: replace(steady_probe(), load=3.2))
    settings(herd.root, dataset={"allow_untagged": True})
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 0, result.stderr
    assert "photos   20 (15 train, 5 val), 3 without a tag\n" in result.stdout
    assert "(measured in 9 s on 2 cores that other work keeps busy (load 3.2): alone it is faster)" in result.stdout
    found = json.loads(CliRunner().invoke(main, ["--json"]).stdout)
    assert [each["stage"] for each in found["estimate"]][:2] == ["index", "pretrain"]
    assert found["probe"]["load"] == 3.2
    noted = json.loads((scratch_root() / "minutes.json").read_text())["estimate"]  # for the stages
    assert {name: note["seconds"] for name, note in noted.items()} == {
        each["stage"]: [each["low"], each["high"]] for each in found["estimate"]
    }
    assert noted["train"]["photos"] == 20
    settings(herd.root, dataset={"allow_untagged": False})
    assert "plan: 1 problem of the data set; see wsss check params.yaml" in CliRunner().invoke(main, []).stderr


def test_without_training_photos_there_is_no_estimate(herd: RawData) -> None:
    herd.write("tags.csv", (herd.root / "tags.csv").read_text().replace("train", "val"))
    settings(herd.root, dataset={"allow_untagged": True})
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 0, result.stderr
    assert result.stdout.endswith("no estimate: no photo is for training\n")


def test_settings_that_no_stage_could_run_with_are_no_crash(herd: RawData) -> None:
    settings(herd.root, dataset={"allow_untagged": True}, pretrain={"backbone": {**TINY, "width": 0.5}})
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 0, result.stderr
    assert "no estimate: backbone.width: found 0.5, but tiny has one width" in result.stdout


def test_missing_weights_are_told_first_and_do_not_stop_the_estimate(
    herd: RawData, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = list[str]()

    def measured(*ignored: object) -> Probe:
        said.append("measured")
        return steady_probe()

    monkeypatch.setattr("wsss.plan.work.probe", measured)
    monkeypatch.setattr("wsss.commands.plan.warn", lambda *parts: said.append(str(UserError(*parts))))
    gone = {"backbone": {"name": "resnet38d", "weights": "weights/gone.params"}}
    settings(herd.root, dataset={"allow_untagged": True}, pretrain=gone, distill=gone)
    result = CliRunner().invoke(main, ["--json"])
    assert result.exit_code == 0, result.stderr
    assert len(said) == 2
    assert said[0].startswith("error: params.yaml:")
    assert (
        "pretrain.backbone.weights and distill.backbone.weights: the weights are missing: no file 'weights/gone.params'"
        "\nfix: those of resnet38d are public: https://github.com/itijyou/ademxapp, "
    ) in said[0]
    assert f"put the file at {Path('weights/gone.params').absolute()}, or name the one you have" in said[0]
    (told,) = json.loads(result.stdout)["missing_weights"]
    assert said[0].endswith(told["fix"])
    assert "; random numbers stood in for the missing weights)" in CliRunner().invoke(main, []).stdout


def no_cache(*_: object, local_files_only: bool = False, **__: object) -> str:
    assert local_files_only, "a download"
    raise OSError("no cache")


def test_what_needs_no_measuring_is_shown_before_and_the_rest_can_be_left_out(
    herd: RawData, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, early = list[str](), list[str]()

    def measured(*ignored: object) -> Probe:
        shown.extend(early)
        return steady_probe()

    monkeypatch.setattr("wsss.commands.plan.show_early", early.append)
    monkeypatch.setattr("wsss.plan.work.probe", measured)
    settings(herd.root, dataset={"allow_untagged": True})
    rest = CliRunner().invoke(main, []).stdout
    assert shown == early
    assert early[0].startswith("photos   20 ")
    assert "derived " in early[0]
    assert rest.startswith("\nestimate ")
    without = CliRunner().invoke(main, ["--no-estimate"])
    assert without.stdout == "\nno estimate: left out by --no-estimate\n\nnext: dvc repro gallery\n"
    assert rest.endswith("\n\nnext: dvc repro gallery\n")
    PARAMS.rename("other.yaml")
    elsewhere = CliRunner().invoke(main, ["other.yaml", "--no-estimate"]).stdout
    assert elsewhere.endswith("\nnext: copy other.yaml to the params.yaml of the pipeline, dvc repro gallery\n")
    Path("other.yaml").rename(PARAMS)
    assert len(shown) == 1
    found = json.loads(CliRunner().invoke(main, ["--no-estimate", "--json"]).stdout)
    assert (found["estimate"], found["why_no_estimate"]) == ([], "left out by --no-estimate")


def test_model_that_is_not_here_is_named_and_not_downloaded(herd: RawData, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub, "snapshot_download", no_cache)
    far = {"backbone": {"name": "hf:facebook/dinov2-small", "output_stride": 16}}
    settings(herd.root, dataset={"allow_untagged": True}, distill=far)
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 0, result.stderr
    line = 1 + next(n for n, text in enumerate(PARAMS.read_text().splitlines()) if "hf:" in text)
    assert (
        f"params.yaml:{line}: distill.backbone.name: hf:facebook/dinov2-small is neither a folder nor in the cache of "
        "this machine: stage distill would download it, which a node without internet cannot"
    ) in result.stderr
    assert "hf download facebook/dinov2-small; for a node without this cache" in result.stderr
    assert result.stdout.endswith(
        f"no estimate: params.yaml:{line}: what the model is like is not known before it is here\n"
    )
    assert "derived " in result.stdout


def test_models_that_are_here_and_those_that_no_stage_could_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = pytest.importorskip("huggingface_hub")
    pytest.importorskip("transformers")
    monkeypatch.setattr(hub, "snapshot_download", no_cache)

    def told(name: str, weights: str = "imagenet") -> tuple[list[str], list[str]]:
        PARAMS.write_text(f"pretrain:\n  backbone:\n    name: {name}\n    weights: {weights}\n")
        found = missing_weights(PARAMS), models_to_fetch(PARAMS)
        assert all(each.where == "params.yaml:3" for each in (*found[0], *found[1]))
        return [each.what for each in found[0]], [each.what for each in found[1]]

    model = tmp_path / "models/m"
    model.mkdir(parents=True)
    assert told("hf:models/m")[0] == ["pretrain.backbone.name: hf:models/m: models/m: there is no config.json"]
    (model / "config.json").write_text("{}")
    assert "there is no model.safetensors" in told("hf:models/m")[0][0]
    assert told("hf:models/m", "random") == ([], [])
    (model / "model.safetensors").touch()
    assert told("hf:models/m") == ([], [])
    assert told("hf:/nowhere/m")[0] == ["pretrain.backbone.name: hf:/nowhere/m: there is no folder /nowhere/m"]
    assert len(told("hf:far/m")[1]) == 1
    monkeypatch.setattr(hub, "snapshot_download", lambda *_, **__: str(model))
    assert told("hf:far/m") == ([], [])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert told("hf:far/m") == (
        ["pretrain.backbone.name: hf:far/m: the package transformers is not installed"],
        [],
    )


def test_networks_that_give_no_numbers_are_no_crash(herd: RawData, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverged(*ignored: object) -> Probe:
        raise IntegrityError("student", "gave NaN or Inf as probabilities", "train it again")

    monkeypatch.setattr("wsss.plan.work.probe", diverged)
    settings(herd.root, dataset={"allow_untagged": True})
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 0, result.stderr
    assert result.stdout.endswith("no estimate: student: gave NaN or Inf as probabilities\n")
    assert "train it again" not in result.output


def test_weights_that_are_there_or_need_no_file_are_not_missing(tmp_path: Path) -> None:
    (tmp_path / "here.pth").touch()
    for backbone, missing in (
        ("{}", False),
        ("{name: tiny, weights: random}", False),
        ("{name: tiny, weights: here.pth}", False),
        ("{name: tinny}", False),  # told by who checks the settings
        ("{name: vit_b16}", True),
        ("{name: tiny, weights: gone.pth}", True),
    ):
        PARAMS.write_text(f"pretrain: {{backbone: {backbone}}}\ndistill: nothing\n")
        assert bool(missing_weights(PARAMS)) is missing, backbone
    PARAMS.write_text("distill: {backbone: {name: vit_b16}}\n")
    (found,) = missing_weights(PARAMS)
    assert found.where == "params.yaml:1"
    assert found.what == "distill.backbone.weights: no package has ImageNet weights of vit_b16"
    assert missing_weights(Path("nowhere.yaml")) == []


def test_sources_of_weights_are_those_of_the_page() -> None:
    page = (Path(__file__).parents[3] / "docs/howto/backbone.md").read_text()
    assert set(SOURCES) <= set(BACKBONES)
    for source in SOURCES.values():
        assert source.split(",")[0] in page


def test_cost_of_nothing() -> None:
    assert Cost(1.0, 0.0, 0.0).of(0) == 1.0
