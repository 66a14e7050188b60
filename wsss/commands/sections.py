"""All settings in one model: every key with its default, unit and sentence, and the stages that read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import Field
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from ruamel.yaml import YAML

from wsss.cams.stage import CamsSettings
from wsss.core.params import Seed, Settings, load
from wsss.correct.settings import CorrectSettings
from wsss.crf.settings import OFF, PUBLISHED, CrfSettings
from wsss.data.inference import InferenceSettings
from wsss.demo.write import DemoSettings
from wsss.distill.settings import DistillSettings
from wsss.evaluation.sources import EvaluateSettings
from wsss.formats.settings import DatasetSettings
from wsss.report.gallery import GallerySettings
from wsss.training.oste import TrainSettings
from wsss.training.pretrain import PretrainSettings
from wsss.training.schedule import ComputeSettings

REQUIRED = "(required)"
MISSING = object()
CRF_HELP = "off, published, or the keys that differ from the published ones"


class Sections(Settings):
    """params.yaml. Keys that are not written have their defaults."""

    seed: Seed = Field(
        description="every random number is keyed by it: the order of photos by (seed, epoch), augmentation by (seed, "
        "epoch, photo), dropout by (seed, step)"
    )
    compute: ComputeSettings
    dataset: DatasetSettings
    demo: DemoSettings
    pretrain: PretrainSettings
    train: TrainSettings
    inference: InferenceSettings
    cams: CamsSettings
    correct: CorrectSettings
    distill: DistillSettings
    evaluate: EvaluateSettings
    gallery: GallerySettings


@dataclass(frozen=True)
class Key:
    """One setting: its dotted `name`, `kind` of value, `default` as YAML writes it, `unit` or nothing, a sentence."""

    name: str
    kind: str
    default: str
    unit: str
    sentence: str

    @property
    def section(self) -> str:
        """The key at the top of params.yaml."""
        return self.name.partition(".")[0]


def all_keys() -> list[Key]:
    """Every key of params.yaml, in the order of the file."""
    return list(_keys(Sections, "", None))


def values_in(params: Path, keys: Sequence[Key]) -> dict[str, str]:
    """By dotted key, the value in the settings file `params`, as YAML writes it; a key of a CRF that is off has none.

    Raises what `load` does.
    """
    settings = load(params, Sections)
    found = {}
    for key in keys:
        value: Any = settings
        for part in key.name.split("."):
            value = getattr(value, part, MISSING)
        if value is not MISSING:
            found[key.name] = as_yaml(value)
    return found


def default_values() -> dict[str, Any]:
    """By dotted key, the default as YAML reads it, of every key that has one."""
    yaml = YAML(typ="safe")
    return {key.name: yaml.load(key.default) for key in all_keys() if key.default != REQUIRED}


def readers(dvc_yaml: Path) -> dict[str, list[str]]:
    """The stages that read each section, as dvc.yaml declares it; none where there is no such file."""
    if not dvc_yaml.is_file():
        return {}
    stages: dict[str, Any] = YAML(typ="safe").load(dvc_yaml.read_text(encoding="utf-8"))["stages"]
    found: dict[str, list[str]] = {}
    for stage, entry in stages.items():
        for section in entry.get("params", []):
            found.setdefault(section, []).append(stage)
    return found


def as_yaml(value: Any) -> str:
    """A value as one writes it in params.yaml."""
    if value is None:
        return OFF
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, CrfSettings):
        changed = {name: getattr(value, name) for name in CrfSettings.model_fields}
        changed = {name: each for name, each in changed.items() if each != getattr(PUBLISHED, name)}
        inner = ", ".join(f"{name}: {as_yaml(each)}" for name, each in changed.items())
        return f"{{{inner}}}" if changed else "published"
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(as_yaml(item) for item in value)}]"
    if isinstance(value, float):
        return f"{value:g}"
    return '""' if value == "" else str(value)


def _keys(model: type[Settings], prefix: str, defaults: Settings | None) -> Iterator[Key]:
    """`defaults`: the values that hold here, where they are others than the model's own."""
    for name, field in model.model_fields.items():
        inner = _model_of(field)
        default = field.default if defaults is None else getattr(defaults, name)
        if isinstance(default, int) and field.annotation is float:
            default = float(default)
        if inner is CrfSettings:
            yield Key(prefix + name, CRF_HELP, as_yaml(default), "", field.description or "dense CRF")
            yield from _keys(CrfSettings, f"{prefix}{name}.", None)
        elif inner is not None:
            yield from _keys(inner, f"{prefix}{name}.", default if isinstance(default, Settings) else None)
        else:
            written = REQUIRED if default is PydanticUndefined else as_yaml(default)
            yield Key(prefix + name, _kind(field), written, _unit(field), field.description or "")


def _model_of(field: FieldInfo) -> type[Settings] | None:
    candidates = (field.annotation, *get_args(field.annotation))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, Settings)), None)


def _unit(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    return str(extra.get("unit", "")) if isinstance(extra, dict) else ""


def _kind(field: FieldInfo) -> str:
    """The kind of value, in words: ``true or false``, ``number``, the alternatives."""
    extra, annotation = field.json_schema_extra, field.annotation
    if isinstance(extra, dict) and isinstance(extra.get("anyOf"), list):  # names, and a form that others have
        forms: Any = extra["anyOf"]
        return "one of " + ", ".join(name for form in forms for name in form.get("enum", [form.get("title")]))
    simple = {bool: "true or false", int: "whole number", float: "number", str: "text"}
    if annotation in simple:
        return simple[annotation]
    if getattr(annotation, "__origin__", None) is tuple:
        return "list"
    parts = get_args(annotation)
    if any(get_origin(part) is Literal for part in parts):  # names, or a number: ``auto or whole number``
        kinds = [as_yaml(name) for part in parts if get_origin(part) is Literal for name in get_args(part)]
        others = [part for part in parts if get_origin(part) is not Literal]
        return " or ".join([*kinds, *(simple[getattr(part, "__origin__", part)] for part in others)])
    if set(parts) == {int, float}:
        return simple[float]
    return "one of " + ", ".join(as_yaml(value) for value in parts)
