"""Wiring: what dvc.yaml declares is what the code does."""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
import json
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.mask_reads import reached, reads_masks
from wsss.core.params import Settings, load
from wsss.core.settings_file import SECTIONS
from wsss.report.differing import OWN

REPO = Path(__file__).parent.parent
DVC = YAML(typ="safe").load((REPO / "dvc.yaml").read_text(encoding="utf-8"))
STAGES = list(DVC["stages"])
FLOORS = (
    "core",
    "numeric data",
    "stores formats demo models crf",
    "losses predict correct",
    "training cams evaluation export",
    "distill report tag",
    "plan",
    "commands",
)
"""The import order, written once: a room imports rooms of lower floors, and nothing of its own floor but itself."""
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms.split()}
EXEMPT = "wsss/core"
"""No dependency of any stage: what lies there cannot change an output."""
PLUMBING = {
    *("__future__", "abc", "collections", "contextlib", "dataclasses", "difflib", "errno", "functools", "hashlib"),
    *(
        "importlib",
        "io",
        "itertools",
        "json",
        "math",
        "os",
        "pathlib",
        "re",
        "shutil",
        "sys",
        "time",
        "traceback",
        "types",
        "typing",
    ),
    *("concurrent", "ctypes", "fcntl", "fnmatch", "msvcrt", "multiprocessing", "select", "signal", "socket"),
    *("datetime", "platform", "subprocess", "tempfile", "threading", "uuid"),
    *("click", "pydantic", "rich", "ruamel"),
}
"""What exempt modules may import: neither arithmetic nor readers and writers of arrays, pictures and tables."""
READS_A_TABLE = "wsss.core.no_masks"
"""It looks up in the index which files must not be opened, and writes nothing."""
SUPERVISED = {"wsss.evaluation", "wsss.report", "pipeline.evaluate", "pipeline.gallery"}
"""Who may see masks."""
UNSUPERVISED = ("pretrain", "train", "cams", "correct", "distill")
"""Stages that train or make labels."""


def stage_files(key: str, stage: str) -> set[str]:
    return {next(iter(item)) if isinstance(item, dict) else item for item in DVC["stages"][stage].get(key, [])}


def modules() -> list[Path]:
    return [path for folder in ("wsss", "pipeline") for path in sorted((REPO / folder).rglob("*.py"))]


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.startswith(("wsss.", "pipeline."))}


LOADED = """
import importlib, json, os, sys
import numba, scipy, torch  # of others, and slow: once for all stages
from wsss.core.stage import loaded_code

for stage in sys.argv[1:]:
    if not os.fork():
        importlib.import_module(f"pipeline.{stage}")
        core = [name for name in sys.modules if name.startswith("wsss.core.")]
        print(json.dumps([stage, [str(path) for path in loaded_code()], core]), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0
"""
"""Prints what each stage's script loads, in a process of its own for each: files, and modules of `core`."""


Loaded = dict[str, tuple[list[str], list[str]]]


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    """For each stage: all files of ours that its script loads, `core` excepted; and the modules of `core`."""
    command = [sys.executable, "-c", LOADED, *STAGES]
    printed = subprocess.run(command, cwd=REPO, check=True, capture_output=True, text=True).stdout
    found = {}
    for stage, files, core in map(json.loads, printed.splitlines()):
        found[stage] = [Path(name).relative_to(REPO).as_posix() for name in files], core
    return found


def modules_in(folder: Path) -> set[str]:
    """Every module below a folder of the repository; packages' own files are empty."""
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(REPO).as_posix() for path in files if path.name != "__init__.py"}


def exact(files: list[str]) -> list[str]:
    """Dependencies on exactly `files`: a folder where all of its modules are among them, the largest possible one."""
    rest, found = set(files), []
    for folder in sorted((path for path in (REPO / "wsss").rglob("*") if path.is_dir()), key=lambda p: len(p.parts)):
        modules = modules_in(folder)
        if len(modules) > 1 and modules <= rest:
            found.append(folder.relative_to(REPO).as_posix())
            rest -= modules
    return sorted([*found, *rest])


@pytest.mark.parametrize("stage", STAGES)
def test_code_dependencies_are_the_files_that_the_stage_loads(stage: str, loaded: Loaded) -> None:
    wanted = exact(loaded[stage][0])
    code = {name for name in stage_files("deps", stage) if name.startswith(("wsss/", "pipeline/"))}
    declared = sorted(name for name in code if Path(name).suffix in ("", ".py"))
    assert declared == wanted, "deps of this stage should be:\n" + "\n".join(f"      - {name}" for name in wanted)


def test_another_student_does_not_train_the_classifier_anew(loaded: Loaded) -> None:
    for stage, network in (("pretrain", "oste"), ("pretrain", "student"), ("train", "student"), ("cams", "student")):
        assert f"wsss/models/{network}.py" not in loaded[stage][0], f"{stage} loads the network {network}"


def test_what_no_stage_declares_cannot_change_an_output(loaded: Loaded) -> None:
    """Exempt modules compute nothing and write no numbers: they import nothing that could."""
    modules = {name for stage in STAGES for name in loaded[stage][1]}
    assert {"wsss.core.params", "wsss.core.stage", "wsss.core.atomic"} <= modules
    for module in sorted(modules):
        path = REPO / f"{module.replace('.', '/')}.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                allowed = PLUMBING | ({"csv"} if module == READS_A_TABLE else set())
                assert name.startswith("wsss.core.") or name.split(".")[0] in allowed, f"{module} imports {name}"


@pytest.mark.parametrize("stage", STAGES)
def test_declared_params_are_the_sections_that_the_stage_reads(stage: str) -> None:
    fields = set(importlib.import_module(f"pipeline.{stage}").Params.model_fields)
    if stage == "gallery":
        fields = set(SECTIONS) - set(OWN)  # it says which settings are not those of the recipe
    # Where the data set lies is no part of a result (only `index` depends on it).
    assert set(DVC["stages"][stage]["params"]) == (fields if stage == "index" else fields - {"dataset"})


def test_the_page_of_stages_names_the_params_of_each() -> None:
    page = (REPO / "docs/pipeline.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \|.*?\| ([^|]*) \|[^|]*\|$", page, re.MULTILINE))
    said = {stage: rows[stage].split(", ") for stage in STAGES if stage != "gallery"}
    assert said == {stage: DVC["stages"][stage]["params"] for stage in said}
    assert rows["gallery"] == f"all but {' and '.join(sorted(OWN))}"


@pytest.mark.parametrize("stage", STAGES)
def test_default_paths_are_the_declared_dependencies_and_outputs(stage: str) -> None:
    command = importlib.import_module(f"pipeline.{stage}").main
    defaults = {str(option.default) for option in command.params if option.name not in ("params", "debug")}
    declared = {n for n in stage_files("deps", stage) if not n.startswith(("wsss/", "pipeline/", "$"))} | stage_files(
        "outs", stage
    )
    declared |= stage_files("metrics", stage)
    missing = {name for name in declared if name not in defaults and str(Path(name).parent) not in defaults}
    assert not missing
    assert all(any(name == d or str(Path(d).parent) == name for d in declared) for name in defaults)


def test_every_stage_has_a_description_and_its_own_command() -> None:
    for name, stage in DVC["stages"].items():
        assert stage["desc"]
        assert stage["cmd"] == f"python -m pipeline.{name}"


def test_sections_are_the_union_of_what_stages_read() -> None:
    read = {field for stage in STAGES for field in importlib.import_module(f"pipeline.{stage}").Params.model_fields}
    assert read == set(SECTIONS)


@pytest.mark.parametrize(
    "recipe", [REPO / "params.yaml", *sorted((REPO / "recipes").glob("*.yaml"))], ids=lambda p: p.name
)
def test_recipes_satisfy_every_stage(recipe: Path) -> None:
    for stage in STAGES:
        load(recipe, importlib.import_module(f"pipeline.{stage}").Params)


def test_demo_recipe_is_the_default() -> None:
    same = (REPO / "recipes/demo.yaml").read_bytes() == (REPO / "params.yaml").read_bytes()
    assert same, "params.yaml is not the demo's: if these settings are your own, nothing is wrong"


def room_of(name: str) -> str:
    """The room of a module: ``wsss.crf.dense`` → ``crf``."""
    return name.split(".")[1]


def test_every_room_has_a_floor() -> None:
    rooms = {path.name for path in (REPO / "wsss").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms == set(FLOOR)


def test_imports_point_down() -> None:
    for path in modules():
        parts = path.relative_to(REPO).parts
        if parts[0] == "wsss" and len(parts) > 2:
            for name in imports(path):
                assert name.startswith("wsss."), f"{path} imports {name}"
                below = FLOOR[room_of(name)] < FLOOR[parts[1]]
                assert below or room_of(name) == parts[1], f"{path} (floor {FLOOR[parts[1]]}) imports {name}"


def test_no_two_modules_import_each_other() -> None:
    """Not even in a circle, and not even for types alone."""
    names = {".".join(path.relative_to(REPO).with_suffix("").parts): path for path in modules()}
    graph = {}
    for name, path in names.items():
        found = imports(path)
        graph[name] = {module for each in found for module in (each, each.rpartition(".")[0]) if module in names}
    assert tuple(TopologicalSorter(graph).static_order())


def test_nothing_that_a_training_or_labelling_stage_can_load_reads_masks() -> None:
    """Not by name, not by module, not as an attribute, not by the name of a folder, nor by the place of the data."""
    names = {".".join(path.relative_to(REPO).with_suffix("").parts): path for path in modules()}
    found = reached([f"pipeline.{stage}" for stage in UNSUPERVISED], names)
    assert {"wsss.cams.stuff", "wsss.data.index", "wsss.distill.relabel"} <= set(found)
    read = {name: set(reads_masks(names[name].read_text(encoding="utf-8"), name)) for name in found}
    assert {name: said for name, said in read.items() if said} == {
        "wsss.data.index": {"says mask"},  # writes and reads the column
        "wsss.data.answers": {"says mask"},  # has a kind of answer of that name
        "wsss.data.photos": {"says root"},  # reads photos
        "wsss.core.no_masks": {"says mask", "says root"},  # keeps them closed
    }


@pytest.mark.parametrize(
    "source",
    [
        "from wsss.data.masks import MaskedImages",
        "from wsss.data import masks\nmasks.MaskedImages",
        "def f():\n    import wsss.data.masks as m",
        "from wsss.data import images as pictures\npictures.load_mask(path, size, 3)",
        "from wsss.data.images import load_mask as load_image",
        "from wsss.data.images import *",
        "from ..data import masks",
        "import wsss.data.images\ngetattr(wsss.data.images, 'load_mask')",
        "importlib.import_module('wsss.data.masks')",
        "from wsss.evaluation import counting",
        "from wsss.formats.build import examine",
        "Image.open(photos.root / record.mask)",
        "getattr(record, 'mask')",
        "open('artifacts/masks.csv')",
        "Path('data/msrc_v2/SegmentationClass') / f'{name}.png'",
        "f'{folder}/masks/{name}.png'",
        "Path('data', 'voc', 'segmentationclass')",
        r"open('C:\\data\\masks\\7.png')",
        "json.loads((folder / 'annotations/instances_val.json').read_text())",
        "Image.open(photos.root / folder / name)",
        "getattr(photos, 'root')",
    ],
)
def test_a_module_that_reads_masks_is_found_out(source: str) -> None:
    assert reads_masks(source, "wsss.cams.stuff")


@pytest.mark.parametrize(
    "source",
    [
        '"""Of MaskedImages nothing is known here."""',
        "seen = record.mask is not None",
        "mask = label != IGNORE",
        "from wsss.data.images import load_image",
        "raise UserError(path, 'holds masks and not pseudo-labels', 'import masks/labels of photos')",
        "root = Path('weights')",
    ],
)
def test_a_module_that_reads_none_is_left_alone(source: str) -> None:
    assert reads_masks(source, "wsss.cams.stuff") == []


def test_what_imports_a_reader_of_masks_within_a_function_reaches_it(tmp_path: Path) -> None:
    texts = {
        "pipeline.cams": "from wsss.cams import a",
        "wsss.cams.a": "def f():\n    import wsss.cams.b",
        "wsss.cams.b": "",
    }
    files = {name: tmp_path / name for name in texts}
    for name, text in texts.items():
        files[name].write_text(text)
    assert reached(["pipeline.cams"], files) == {
        "pipeline.cams": "",
        "wsss.cams.a": "pipeline.cams",
        "wsss.cams.b": "wsss.cams.a",
    }


def test_only_evaluation_and_report_see_masks() -> None:
    """Of all modules, those of commands and tools as well. Besides, only `build`, of stage `index`, checks masks, and
    `edits` and `predicted` read what a person has made of predictions, for `wsss predict` and `wsss export`.
    """
    tools = {"wsss.predict.edits", "wsss.export.predicted"}
    allowed = {"wsss.data.masks", "wsss.data.images", "wsss.formats.build", *tools}
    for path in modules():
        module = ".".join(path.relative_to(REPO).with_suffix("").parts)
        if not module.startswith(tuple(SUPERVISED)) and module not in allowed:
            found = set(reads_masks(path.read_text(encoding="utf-8"), module))
            assert not found & {"says MaskedImages", "says load_mask", "imports wsss.data.masks"}, module


def test_changed_masks_rerun_what_reads_them_and_nothing_else() -> None:
    readers = {name for name in STAGES if "artifacts/masks.csv" in stage_files("deps", name)}
    assert readers == {name for name in STAGES if f"pipeline.{name}" in SUPERVISED} == {"evaluate", "gallery"}


def test_modules_stay_small_and_packages_empty() -> None:
    for path in modules():
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 260, path
        if path.name == "__init__.py":
            assert not ast.parse(text).body or isinstance(ast.parse(text).body[0], ast.Expr), path


def test_every_settings_field_is_read() -> None:
    """A setting that nothing reads is a lie: each field's name occurs as an attribute somewhere."""
    importlib.import_module("wsss.commands.sections")  # loads them all
    text = "\n".join(path.read_text(encoding="utf-8") for path in modules())
    pending, seen = list(Settings.__subclasses__()), set()
    while pending:
        model = pending.pop()
        pending += model.__subclasses__()
        if not model.__module__.startswith("wsss."):
            continue
        for field in model.model_fields:
            assert f".{field}" in text, f"{model.__module__}.{model.__name__}.{field} is never read"
            seen.add(field)
    assert {"alpha", "gamma", "crop", "precision"} <= seen


def test_make_repro_ends_with_the_verdict() -> None:
    """DVC's last words are of git and of remotes; what the run is worth has to stand below them."""
    said = subprocess.run(
        ["make", "--no-print-directory", "-n", "repro"], cwd=REPO, capture_output=True, text=True, check=True
    )
    commands = [line for line in said.stdout.splitlines() if not line.startswith("#")]
    assert commands[-2] == "dvc repro"
    assert commands[-1].startswith("wsss watch --once ")


def test_stage_functions_document_themselves() -> None:
    for stage in STAGES:
        module = importlib.import_module(f"pipeline.{stage}")
        assert inspect.getdoc(module)
        assert module.main.help


@pytest.mark.parametrize("stage", STAGES)
def test_committed_lock_is_of_this_code(stage: str) -> None:
    """What a fresh clone computes is what dvc.lock names; else run `make repro` and commit dvc.lock with the scores."""
    lock = YAML(typ="safe").load((REPO / "dvc.lock").read_text(encoding="utf-8"))["stages"][stage]
    code = {item["path"]: item["md5"] for item in lock["deps"] if item["path"].split("/")[0] in ("wsss", "pipeline")}
    assert code
    assert [path for path, found in code.items() if dvc_md5(REPO / path) != found] == []


def dvc_md5(path: Path) -> str:
    """As DVC computes it; of a folder, that of the list of its files."""
    if path.is_file():
        return hashlib.md5(path.read_bytes()).hexdigest()
    names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*.*") if "__pycache__" not in file.parts)
    listed = [{"md5": dvc_md5(path / name), "relpath": name} for name in names]
    return f"{hashlib.md5(json.dumps(listed).encode()).hexdigest()}.dir"
