"""`wsss explain`: what each setting means, as it stands in the code, in params.yaml and in docs/."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from tests.helpers import REPO
from wsss.commands.explain import main
from wsss.commands.sections import REQUIRED, Key, all_keys, readers
from wsss.core.errors import UserError
from wsss.core.settings_file import SECTIONS

KEYS = {key.name: key for key in all_keys()}
PARAMS = """\
correct:
  method: gmm
  fixed: {alpha: 0.6, crf: off}
  gmm: {crf: {spatial_xy: 1}}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A params.yaml and the dvc.yaml of the repository."""
    monkeypatch.chdir(tmp_path)
    text = (REPO / "recipes/demo.yaml").read_text(encoding="utf-8")
    before, _, after = text.partition("correct:\n")
    rest = after.partition("\n\n")[2]
    Path("params.yaml").write_text(f"{before}{PARAMS}\n{rest}", encoding="utf-8")
    Path("dvc.yaml").write_bytes((REPO / "dvc.yaml").read_bytes())


def explain(*arguments: str) -> Result:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 0, result.stderr
    return result


def test_pages_of_the_repository_are_what_the_code_says() -> None:
    """`make docs` writes them."""
    pages = {"--markdown": "settings.md", "--schema": "params.schema.json"}
    for option, name in pages.items():
        assert explain(option).stdout == (REPO / "docs" / name).read_text(encoding="utf-8"), f"make docs: {name}"


def test_every_key_has_a_sentence_and_a_kind() -> None:
    assert not [key.name for key in KEYS.values() if not key.sentence or not key.kind or "<" in key.kind]
    assert list(dict.fromkeys(key.section for key in KEYS.values())) == list(SECTIONS)


@pytest.mark.parametrize("recipe", sorted((REPO / "recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_recipes_write_keys_that_are_explained_and_all_that_are_required(recipe: Path) -> None:
    def written(node: object, prefix: str = "") -> list[str]:
        if not isinstance(node, dict):
            return [prefix.rstrip(".")]
        return [name for key, value in node.items() for name in written(value, f"{prefix}{key}.")]

    names = written(YAML(typ="safe").load(recipe.read_text(encoding="utf-8")))
    assert set(names) <= set(KEYS)
    assert {name for name, key in KEYS.items() if key.default == REQUIRED} <= set(names)


def test_one_key() -> None:
    assert explain("correct.fixed.alpha").stdout == (
        "correct.fixed.alpha\n"
        f"  {KEYS['correct.fixed.alpha'].sentence}\n"
        "\n"
        "  value    0.6\n"
        "  default  0.8\n"
        "  takes    number\n"
        "  read by  correct, gallery\n"
        "  try      dvc exp run -S 'correct.fixed.alpha=0.6'\n"
    )


def test_key_that_is_not_written_is_given_to_dvc_with_plusses() -> None:
    text = explain("correct.fixed.gamma").stdout
    assert "  value    4 (not written)\n" in text
    assert text.endswith("  try      dvc exp run -S '++correct.fixed.gamma=4'\n")


@pytest.mark.parametrize(
    ("key", "value"),
    [("correct.fixed.crf", "off"), ("correct.gmm.crf", "{spatial_xy: 1}"), ("evaluate.crf", "published")],
)
def test_value_of_a_crf_is_what_one_writes(key: str, value: str) -> None:
    first, *_ = json.loads(explain(key, "--json").stdout)
    assert (first["name"], first["value"], first["default"]) == (key, value, "published")


def test_section_and_end_of_a_name_are_a_line_for_each_key() -> None:
    lines = explain("correct").stdout.splitlines()
    assert [line.split(" = ")[0] for line in lines] == [name for name in KEYS if name.startswith("correct.")]
    lines = explain("alpha").stdout.splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        f"train.enhance.alpha = {KEYS['train.enhance.alpha'].default}",
        "correct.fixed.alpha = 0.6 (default 0.8)",
    ]


def test_sections_are_counted_with_their_readers() -> None:
    lines = explain().stdout.splitlines()
    assert lines[0].split() == ["section", "keys", "read", "by"]
    found = {line.split()[0]: line for line in lines[1 : len(SECTIONS) + 1]}
    assert list(found) == list(SECTIONS)
    assert found["inference"].split(maxsplit=2)[2] == "cams, correct, distill, evaluate, gallery"
    assert sum(int(line.split()[1]) for line in found.values()) == len(KEYS)


def test_outside_a_project_the_code_alone_speaks() -> None:
    Path("params.yaml").unlink()
    Path("dvc.yaml").unlink()
    assert readers(Path("dvc.yaml")) == {}
    text = explain("correct.fixed.alpha").stdout
    assert "value    (none)" in text
    assert "(no dvc.yaml here)" in text
    (found,) = json.loads(explain("correct.fixed.alpha", "--json").stdout)
    assert (Key(*(found[name] for name in Key.__dataclass_fields__)), found["value"]) == (
        KEYS["correct.fixed.alpha"],
        None,
    )


def test_unknown_key_is_told_the_nearest() -> None:
    result = CliRunner().invoke(main, ["alhpa"])
    assert result.exit_code == UserError.exit_code
    assert result.stderr == "error: wsss explain: no key 'alhpa' (did you mean 'alpha'?)\nfix: see wsss explain\n"


def test_missing_file_that_is_named_is_an_error() -> None:
    result = CliRunner().invoke(main, ["alpha", "--params", "mine.yaml"])
    assert result.exit_code == UserError.exit_code
    assert result.stderr == "error: mine.yaml: no such file\nfix: correct --params\n"


def test_a_required_key_has_no_default() -> None:
    lines = explain("correct").stdout.splitlines()
    assert any(line.startswith("correct.method = gmm (required): ") for line in lines)
    assert any(line.startswith("correct.fixed.alpha = 0.6 (default 0.8): ") for line in lines)
