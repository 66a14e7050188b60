"""Row 45: a wrong settings file is refused by file, line and key, with what to do, all errors at once."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import click
import pytest
from click.testing import CliRunner
from pydantic import Field, ValidationError

from pipeline import distill, index, train
from tests.helpers import REPO
from wsss.cams.stage import CamsSettings
from wsss.commands import check
from wsss.commands.sections import Sections
from wsss.core.errors import ErrorList, UserError
from wsss.core.params import Seed, Settings, load
from wsss.core.recipes import read_recipe, recipe_names, recipe_path
from wsss.core.schema import settings_schema, slips
from wsss.core.settings_file import SECTIONS, plain_values, read_settings
from wsss.data.photos import Location
from wsss.data.transforms import AugmentSettings
from wsss.training.schedule import OptimSettings

GOOD = """\
seed: 0
pretrain:
  dropout: 0.5
  flip: true
  optim:
    epochs: 6
    batch: 8
    lr: 1e-3
    head_lr_factor: 10
    momentum: 0.9
    weight_decay: 1.0e-4
    power: 0.9
    warmup_steps: 10
    clip_norm: 0
    precision: 32-true
"""
SECTION_NAMES = "seed, compute, dataset, demo, pretrain, train, inference, cams, correct, distill, evaluate, gallery"
OPTIM_KEYS = "batch, clip_norm, epochs, head_lr_factor, lr, momentum, power, precision, warmup_steps, weight_decay"
WRITE_ONE = "wsss recipe use NAME{0} (see wsss recipe list), or for your own photos: wsss init FOLDER{0}"


class Pretrain(Settings):
    dropout: float = Field(ge=0, lt=1)
    flip: bool
    optim: OptimSettings


class Params(Settings):
    seed: int
    pretrain: Pretrain


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "my params 50 %"
    folder.mkdir()
    return folder / "params.yaml"


def refusal(file: Path, text: str | bytes) -> str:
    """The message, with the file's folder left out."""
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises((UserError, ErrorList)) as caught:
        load(file, Params)
    assert caught.value.exit_code == 2
    return (
        str(caught.value)
        .replace(str(file), "params.yaml")
        .replace(OPTIM_KEYS, "OPTIM_KEYS")
        .replace(f"known sections are {SECTION_NAMES}", "known sections are SECTION_NAMES")
    )


def test_what_dvc_cannot_read_is_refused_with_what_to_write(tmp_path: Path) -> None:
    """In braces, libyaml takes no ':' within a value, which ruamel's own parser does."""
    path = tmp_path / "params.yaml"
    path.write_text("seed: 0\npretrain:\n  backbone: {name: hf:facebook/dinov2-small}\n")
    serialize = pytest.importorskip("dvc.utils.serialize")
    with pytest.raises(serialize.YAMLFileCorruptedError):
        serialize.load_yaml(path)
    with pytest.raises(UserError, match="DVC cannot read this line: found unexpected ':'") as refused:
        read_settings(path)
    assert refused.value.where == f"{path}:3"
    assert refused.value.fix.startswith("write what stands in braces in lines of its own, a key each")
    path.write_text("seed: 0\npretrain:\n  backbone:\n    name: hf:facebook/dinov2-small\n")
    assert serialize.load_yaml(path) == plain_values(path, read_settings(path))


def test_dvc_reads_the_settings_of_the_page_on_transformers(tmp_path: Path) -> None:
    """Also once it has written them, as each `dvc exp run -S` does."""
    serialize = pytest.importorskip("dvc.utils.serialize")
    page = (REPO / "docs/howto/transformers.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    path = tmp_path / "params.yaml"
    path.write_text(block, encoding="utf-8")
    with serialize.modify_yaml(path) as written:
        written["distill"]["rounds"] = 1
    assert serialize.load_yaml(path)["distill"]["backbone"]["name"] == "hf:facebook/dinov2-small"


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


def test_numbers_are_numbers(file: Path) -> None:
    """PyYAML reads 1e-3 as text; DVC and we do not."""
    file.write_text(GOOD)
    settings = load(file, Params)
    assert settings.pretrain.optim.lr == 0.001
    assert settings.pretrain.optim.head_lr_factor == 10.0
    assert settings.pretrain.flip is True


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "1.0e-3", "0.001", "1.e-3", "+.001"])
def test_every_way_to_write_a_thousandth(file: Path, text: str) -> None:
    file.write_text(changed("lr: 1e-3", f"lr: {text}"))
    assert load(file, Params).pretrain.optim.lr == 0.001


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "dropout:",
            "drpout:",
            """\
            error: params.yaml:2: pretrain.dropout: missing
            fix: add pretrain.dropout (see recipes/demo.yaml)
            error: params.yaml:3: pretrain.drpout: unknown key (did you mean 'dropout'?)
            fix: known keys are dropout, flip, optim""",
        ),
        (
            "    epochs: 6",
            "    epochs: 6\n    epoch: 6",
            """\
            error: params.yaml:7: pretrain.optim.epoch: unknown key (did you mean 'epochs'?)
            fix: known keys are OPTIM_KEYS""",
        ),
        (
            "seed: 0",
            "seed: 0\npretrian: {}",
            """\
            error: params.yaml:2: pretrian: unknown section (did you mean 'pretrain'?)
            fix: known sections are SECTION_NAMES""",
        ),
        (
            "flip: true",
            "flip: no",
            """\
            error: params.yaml:4: pretrain.flip: found 'no', expected a valid boolean
            fix: change pretrain.flip""",
        ),
        (
            "flip: true",
            "flip: 1",
            """\
            error: params.yaml:4: pretrain.flip: found 1, expected a valid boolean
            fix: change pretrain.flip""",
        ),
        (
            "lr: 1e-3",
            "lr: -1e-3",
            """\
            error: params.yaml:8: pretrain.optim.lr: found -0.001, expected greater than 0
            fix: change pretrain.optim.lr""",
        ),
        (
            "lr: 1e-3",
            "lr: .inf",
            """\
            error: params.yaml:8: pretrain.optim.lr: found inf, expected a finite number
            fix: change pretrain.optim.lr""",
        ),
        (
            "lr: 1e-3",
            "lr: '1e-3'",
            """\
            error: params.yaml:8: pretrain.optim.lr: found '1e-3', expected a valid number
            fix: change pretrain.optim.lr""",
        ),
        (
            "lr: 1e-3",
            "lr:",
            """\
            error: params.yaml:8: pretrain.optim.lr: found nothing, expected a value
            fix: change pretrain.optim.lr""",
        ),
        (
            "epochs: 6",
            "epochs: 6.5",
            """\
            error: params.yaml:6: pretrain.optim.epochs: found 6.5, expected a valid integer
            fix: change pretrain.optim.epochs""",
        ),
        (
            "precision: 32-true",
            "precision: 16",
            """\
            error: params.yaml:15: pretrain.optim.precision: found 16, \
expected 'auto', '32-true', 'bf16-mixed' or '16-mixed'
            fix: change pretrain.optim.precision""",
        ),
        (
            "    lr: 1e-3\n",
            "",
            """\
            error: params.yaml:5: pretrain.optim.lr: missing
            fix: add pretrain.optim.lr (see recipes/demo.yaml)""",
        ),
        (
            "seed: 0\n",
            "",
            """\
            error: params.yaml: seed: missing
            fix: add seed (see recipes/demo.yaml)""",
        ),
        (
            "    batch: 8",
            "    batch: 8\n    batch: 4",
            """\
            error: params.yaml:8: duplicate key 'batch'
            fix: delete one of the two 'batch' keys""",
        ),
        (
            "seed: 0",
            "seed: 0\nseed: 1",
            """\
            error: params.yaml:2: duplicate key 'seed'
            fix: delete one of the two 'seed' keys""",
        ),
        (
            "seed: 0",
            "seed: [0",
            """\
            error: params.yaml:2: not valid YAML: expected ',' or ']', but got ':'
            fix: mend the line""",
        ),
        (
            "  flip: true",
            "\tflip: true",
            """\
            error: params.yaml:4: not valid YAML: found character '\\t' that cannot start any token
            fix: mend the line""",
        ),
    ],
)
def test_one_wrong_line_is_named(file: Path, old: str, new: str, message: str) -> None:
    assert refusal(file, changed(old, new)) == dedent(message)


def test_all_errors_come_at_once(file: Path) -> None:
    text = (
        changed("flip: true", "flip: no").replace("lr: 1e-3", "lr: 0").replace("batch: 8", "bach: 8") + "colour: red\n"
    )
    assert refusal(file, text) == dedent("""\
        error: params.yaml:16: colour: unknown section
        fix: known sections are SECTION_NAMES
        error: params.yaml:4: pretrain.flip: found 'no', expected a valid boolean
        fix: change pretrain.flip
        error: params.yaml:8: pretrain.optim.lr: found 0, expected greater than 0
        fix: change pretrain.optim.lr
        error: params.yaml:7: pretrain.optim.bach: unknown key (did you mean 'batch'?)
        fix: known keys are OPTIM_KEYS""")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "an empty file"),
        ("# only a comment\n", "an empty file"),
        ("{}", "an empty file"),
        ("- 1\n", "a list"),
        ("5\n", "a single value"),
    ],
)
def test_file_without_settings(file: Path, text: str, found: str) -> None:
    assert refusal(file, text) == (
        f"error: params.yaml: no settings (found {found}, expected sections {', '.join(SECTIONS)})\n"
        f"fix: {WRITE_ONE.format(' --params params.yaml')}"
    )


def test_missing_file_names_the_commands_that_write_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path, option in ((Path("params.yaml"), ""), (tmp_path / "mine.yaml", f" --params {tmp_path}/mine.yaml")):
        with pytest.raises(UserError) as caught:
            load(path, Params)
        assert str(caught.value) == f"error: {path}: no such file\nfix: {WRITE_ONE.format(option)}"


@pytest.mark.parametrize("command", [check.main, index.main], ids=["wsss check", "stage index"])
def test_commands_and_stages_say_it_alike(
    command: click.Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(command, [])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"error: params.yaml: no such file\nfix: {WRITE_ONE.format('')}\n"


@pytest.mark.parametrize("data", [b"seed: 0\nname: \xff\xfe\n", b"seed: \x00\n", b"\xff\xd8\xff\xe0 JFIF"])
def test_bytes_that_are_no_text_are_refused(file: Path, data: bytes) -> None:
    assert refusal(file, data).startswith("error: params.yaml")


def test_folder_in_place_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    photos = Path("photos")
    photos.mkdir()

    def fix() -> str:
        with pytest.raises(UserError) as caught:
            load(photos, Params)
        assert (caught.value.where, caught.value.what) == ("photos", "a folder, expected a file of settings")
        return caught.value.fix

    write_one = "for the photos in it, write one first: wsss init photos"
    assert fix() == write_one
    Path("params.yaml").write_text("")
    assert fix() == f"leave it out to read params.yaml; {write_one}"
    (photos / "params.yaml").write_text("")
    assert fix() == "give the file: photos/params.yaml"


def test_a_photo_in_place_of_the_file_is_not_offered_to_be_replaced(file: Path) -> None:
    assert refusal(file, b"\xff\xd8\xff\xe0 JFIF").endswith(
        "no text, expected a file of settings\nfix: give one such as params.yaml"
    )


def test_sections_of_other_stages_are_checked_by_the_schema(file: Path) -> None:
    assert refusal(file, GOOD + "cams: {scales: [1.0, 9], output_strid: 8}\ngallery:\n") == dedent(
        """\
        error: params.yaml:17: gallery: found nothing, expected a value
        fix: change gallery
        error: params.yaml:16: cams.scales.1: found 9, expected less than or equal to 8
        fix: change cams.scales.1
        error: params.yaml:16: cams.output_strid: unknown key (did you mean 'output_stride'?)
        fix: known keys are flip, floor, output_stride, precision, scales, stuff, walk"""
    )
    load(file, Params, whole=False)
    file.write_text(GOOD + "cams: {scales: [1.0, 2]}\n")
    load(file, Params)


def test_anchors_work_and_bombs_are_refused(file: Path) -> None:
    file.write_text(changed("dropout: 0.5", "dropout: &d 0.5") + "cams: {scales: [*d]}\n")
    load(file, Params)
    lines = ["seed: 0", "pretrain:", "  a0: &a0 [x]"]
    lines += [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert refusal(file, "\n".join(lines)).startswith("error: params.yaml")


class Sized(Settings):
    seed: Seed
    pretrain: AugmentSettings | None = None
    cams: CamsSettings | None = None


@pytest.mark.parametrize(
    "section",
    [
        "pretrain: {crop: 64, scale: [0, 1], flip: true, jitter: 0}",
        "pretrain: {crop: 64, scale: [-1, 1], flip: true, jitter: 0}",
        "pretrain: {crop: 64, scale: [0.5, .nan], flip: true, jitter: 0}",
        "cams: {scales: [1, 0], flip: true}",
        "cams: {scales: [-0.5], flip: true}",
        "cams: {scales: [], flip: true}",
        "cams: {scales: [1, ~], flip: true}",
    ],
)
def test_scales_that_no_photo_can_have_are_refused(file: Path, section: str) -> None:
    file.write_text(f"seed: 0\n{section}\n")
    with pytest.raises((UserError, ErrorList), match="scale"):
        load(file, Sized)


@pytest.mark.parametrize(
    "value", ["2024-02-31", "!!int x", "!!bool x", "!!timestamp x", "9" * 5000, "[" * 2000, "{" * 600]
)
def test_values_that_no_reader_takes_are_no_bug(file: Path, value: str) -> None:
    message = refusal(file, changed("dropout: 0.5", f"dropout: {value}"))
    assert message.startswith("error: params.yaml")
    assert "\nfix: " in message


def test_mistake_in_a_merged_map_has_the_line_that_it_is_merged_into(file: Path) -> None:
    text = "base: &base {dropout: nonsense}\n" + changed("  dropout: 0.5\n", "  <<: *base\n")
    assert "error: params.yaml:3: pretrain.dropout: found 'nonsense', expected a valid number" in refusal(file, text)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("cams: {scales: 1.5}", "cams.scales: found 1.5, expected a list, such as [1.5]"),
        ("cams: {scales: []}", "cams.scales: found [], expected at least 1 in the list"),
        ("cams: {scales: [1, 9]}", "cams.scales.1: found 9, expected less than or equal to 8"),
        ("pretrain: {scale: [1.5, 0.5]}", "pretrain.scale: found [1.5, 0.5], expected the smaller number first"),
        ("pretrain: {scale: [1, 1, 1]}", "pretrain.scale: found [1, 1, 1], expected at most 2 in the list"),
        ("pretrain: {crop: wide}", "pretrain.crop: found 'wide', expected a valid integer or a valid number"),
        ("cams: 5", "cams: found 5, expected keys with values"),
    ],
)
def test_lists_and_kinds_are_said_in_words_of_yaml(file: Path, section: str, said: str) -> None:
    file.write_text(f"seed: 0\n{section}\n")
    with pytest.raises(UserError) as caught:
        load(file, Sized)
    assert caught.value.what == said


@pytest.mark.parametrize("seed", ["-1", "4294967296", "1.0"])
def test_seeds_that_no_generator_takes_are_refused(file: Path, seed: str) -> None:
    file.write_text(f"seed: {seed}\n")
    for model in (Sections, index.Params, train.Params, distill.Params, check.Params):
        with pytest.raises((UserError, ErrorList), match=f"seed: found {seed}"):
            load(file, model)


def test_every_number_of_the_settings_has_a_lower_bound() -> None:
    """A negative or absent bound is found by the code that uses the number, and told as a bug."""

    def unbounded(schema: Any, name: str) -> Iterator[str]:
        if {"minimum", "exclusiveMinimum", "enum", "ge"} & set(schema):  # ge: of a union
            return
        if schema.get("type") in ("integer", "number"):
            yield name
        for key in ("anyOf", "prefixItems"):
            for part in schema.get(key, ()):
                yield from unbounded(part, name)
        if isinstance(schema.get("items"), dict):
            yield from unbounded(schema["items"], name)
        for key, part in schema.get("properties", {}).items():
            yield from unbounded(part, f"{name}.{key}")

    schema = Sections.model_json_schema()
    assert [*unbounded(schema, ""), *(n for d, s in schema["$defs"].items() for n in unbounded(s, d))] == []


def test_settings_cannot_be_changed_afterwards(file: Path) -> None:
    file.write_text(GOOD)
    with pytest.raises(ValueError, match="frozen"):
        load(file, Params).seed = 1


@pytest.mark.parametrize("stage", [index, distill], ids=["index", "distill"])
def test_a_stage_refuses_slips_in_the_sections_of_others(
    stage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = read_recipe("demo")
    slips = {"rounds: 2": "rounds: 3", "[1.25]": "{}", "images: 60": "imags: 60", "alpha: 0.6": "alpha: 6"}
    for right, slip in slips.items():
        assert text.count(right) == 1
        text = text.replace(right, slip)
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(text)
    said = CliRunner().invoke(stage.main, []).stderr
    for name, error in {
        "rounds: 3": "distill.rounds: found 3, expected 1 or 2\nfix: change distill.rounds\n",
        "scales: {}": "evaluate.scales: found {}, expected a list\nfix: change evaluate.scales\n",
        "imags: 60": "gallery.imags: unknown key (did you mean 'images'?)\nfix: known keys are ",
        "alpha: 6": "correct.fixed.alpha: found 6, expected less than 1\nfix: change correct.fixed.alpha",
    }.items():
        assert f"error: params.yaml:{text[: text.index(name)].count(chr(10)) + 1}: {error}" in said
    assert said.count("error: ") == 4  # the work has not begun: there is no data set


def test_sections_that_a_stage_reads_in_part_are_checked_in_whole(file: Path) -> None:
    file.write_text("dataset: {root: 1, max_megapixel: 3}\n")

    class Part(Settings):
        dataset: Location

    with pytest.raises(ErrorList) as caught:
        load(file, Part)
    assert [each.what.partition(", ")[0] for each in caught.value.errors] == [
        "dataset.root: found 1",  # once
        "dataset.max_megapixel: unknown key (did you mean 'max_megapixels'?)",
    ]


def test_recipes_pass_without_the_code_of_their_sections() -> None:
    class Nothing(Settings):
        seed: Seed

    for name in recipe_names():
        load(recipe_path(name), Nothing)


def test_the_schema_refuses_what_the_code_refuses() -> None:
    """But for `true` in place of 1, which pydantic takes for a choice of numbers. Both say it alike."""
    schema = settings_schema()
    assert schema["properties"]
    plain = plain_values(Path("demo"), read_settings(recipe_path("demo")))
    plain["cams"] |= {"output_stride": 16}
    plain["evaluate"] |= {"crf": {"iterations": 3}}
    assert list(slips(plain, schema, schema["$defs"])) == []
    checked, alike = 0, 0
    for location in leaves(plain, ()):
        for value in (-1, 0.5, 10**9, True, "word", (), (0.5,), {"a": 1}, math.inf):
            changed = replaced(plain, location, value)
            refused = problems_of(changed)
            found = list(slips(changed, schema, schema["$defs"]))
            one = list(slips(replaced(plain, location, 1), schema, schema["$defs"]))
            assert bool(found) == bool(refused) or (value is True and not one), (location, value)
            if found and refused:
                checked += 1
                alike += any(str(found[0].expected) in problem["msg"] for problem in refused)
        assert [
            each.expected for each in slips(replaced(plain, (*location[:-1], "unknown"), 1), schema, schema["$defs"])
        ]
    assert checked > 300
    assert alike > 0.7 * checked


def problems_of(values: dict[str, Any]) -> list[Any]:
    """What pydantic says of them."""
    try:
        Sections.model_validate(values)
    except ValidationError as invalid:
        return list(invalid.errors())
    return []


def leaves(node: Any, location: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for key, value in node.items():
        yield from leaves(value, (*location, key)) if isinstance(value, dict) else [(*location, key)]


def replaced(node: dict[str, Any], location: tuple[str, ...], value: Any) -> dict[str, Any]:
    first, *rest = location
    return {**node, first: replaced(node[first], tuple(rest), value) if rest else value}
