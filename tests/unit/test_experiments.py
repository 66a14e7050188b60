"""Every row of every table of experiments: settings that exist and are valid, and a file of its own."""

import copy
import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from experiments.__main__ import TABLES
from experiments.table import Row, Table, result_file
from wsss.core.params import Settings
from wsss.training.oste import TrainSettings
from wsss.training.students import DistillSettings

SECTIONS: dict[str, type[Settings]] = {"train": TrainSettings, "distill": DistillSettings}
RECIPE = Path(__file__).parents[2] / "recipes" / "msrc.yaml"


def table(name: str) -> Table:
    found = importlib.import_module(f"experiments.{name}").TABLE
    assert isinstance(found, Table)
    return found


ROWS = [(name, row) for name in TABLES for row in table(name).rows]


@pytest.mark.parametrize(("name", "row"), ROWS, ids=lambda value: value.name if isinstance(value, Row) else value)
def test_a_row_sets_what_params_has_to_a_valid_value(name: str, row: Row) -> None:
    yaml = YAML(typ="safe")
    recipe = yaml.load(RECIPE)
    changed: Any = copy.deepcopy(recipe)
    for override in row.overrides:
        key, value = override.split("=", 1)
        *way, last = key.split(".")
        section = changed
        for part in way:
            section = section[part]
        assert last in section
        section[last] = yaml.load(value)
    for section_name, settings in SECTIONS.items():
        settings.model_validate_json(json.dumps(changed[section_name]))  # strict: JSON has no tuples
    assert {part for part in recipe if recipe[part] != changed[part]} <= set(SECTIONS)


@pytest.mark.parametrize("name", TABLES)
def test_rows_do_not_share_a_file_and_differ(name: str) -> None:
    found = table(name)
    assert found.name == name
    assert len({result_file(found, row, 0) for row in found.rows}) == len(found.rows)
    assert len({row.overrides for row in found.rows}) == len(found.rows)
