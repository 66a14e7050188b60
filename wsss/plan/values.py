"""The values that settings left at 0 get for a data set, by the functions that the stages themselves call."""

from __future__ import annotations

from dataclasses import dataclass

from wsss.core.environment import workers
from wsss.data.index import Index
from wsss.distill import settings as distill
from wsss.distill.settings import DistillSettings
from wsss.models.linear_student import LINEAR
from wsss.numeric.device import fast_bf16
from wsss.plan.fingerprint import read_size
from wsss.plan.settings import Params
from wsss.stores.shards import FILES, LARGEST_SHARD, MOST_PHOTOS, SHARDS, SMALLEST_SHARD, shard_size
from wsss.training import pretrain
from wsss.training.crops import SHARES
from wsss.training.oste import TrainSettings
from wsss.training.pretrain import PretrainSettings
from wsss.training.rules import BATCH, CLASSES, GRID, LARGEST, STEPS, cropped, planned
from wsss.training.sampling import Plan
from wsss.training.schedule import OptimSettings

AS_WRITTEN = "as params.yaml says"


@dataclass(frozen=True)
class Training:
    """One training: `optim` with its number of epochs, its `steps`, and the smallest and the largest side that its
    crops can get, pixels (two numbers only where the stage itself chooses), or None if it cuts none.
    """

    stage: str
    optim: OptimSettings
    steps: int
    crops: tuple[int, int] | None


@dataclass(frozen=True)
class Value:
    """A derived value, as text, and its rule in a few words."""

    stage: str
    name: str
    value: str
    rule: str


def trainings(params: Params, index: Index) -> tuple[Training, ...]:
    """The trainings of `pretrain`, `train` and `distill` on `index`, if they are to train at all; `UserError` without
    training photos.
    """
    records, classes = index.split("train"), index.foreground
    first = planned(params.pretrain.optim, "pretrain", len(records), classes)
    least = params.train.warmup_epochs + 1
    second = planned(params.train.optim, "train", len(records), classes, least=least)
    student = params.distill.planned(records, classes)
    whole = cropped(params.pretrain.augment, records, pretrain.CROP).pixels
    # Stage `train` measures which of these crops the tags of a photo are still true for.
    shares = SHARES if not params.train.augment.crop else (params.train.augment.crop,)
    sides = sorted(cropped(params.train.augment, records, share).pixels for share in shares)

    def training(stage: str, optim: OptimSettings, crops: tuple[int, int] | None) -> Training:
        return Training(stage, optim, Plan(params.seed, len(records), optim.batch, optim.epochs).steps, crops)

    found = [training("pretrain", first, (whole, whole))] if params.pretrain.tune else []
    if params.train.enabled:
        found.append(training("train", second, (sides[0], sides[-1])))
    # A linear first student's steps take seconds in all.
    shown = student.each_round()[-1] if student.linear_first else student
    cut = None if params.distill.head == LINEAR else (student.augment.pixels, student.augment.pixels)
    return (*found, training("distill", shown.optim, cut))


def values(params: Params, index: Index, made: tuple[Training, ...]) -> list[Value]:
    """Everything that is derived; `made`: the trainings."""
    sections: dict[str, PretrainSettings | TrainSettings | DistillSettings]
    sections = {"pretrain": params.pretrain, "train": params.train, "distill": params.distill}
    shares = {"pretrain": pretrain.CROP, "distill": distill.CROP}
    found = []
    for training in made:
        section, stage = sections[training.stage], training.stage
        rounds = f" in {params.distill.rounds} rounds" if stage == "distill" and params.distill.rounds > 1 else ""
        rounds = ", after a linear first student" if rounds and params.distill.linear_first else rounds
        length = f"{training.optim.epochs} epochs, {training.steps} steps{rounds}"
        found.append(Value(stage, "length", length, AS_WRITTEN if section.optim.epochs else _length(stage, index)))
        if training.crops is None:
            continue
        low, high = training.crops
        crop, side = section.augment.crop, f"{low} px" if low == high else f"{low} to {high} px"
        if crop > 1:
            rule = AS_WRITTEN
        elif crop or stage in shares:
            part = crop or shares[stage]
            of = "" if part == 1 else f"{part:g} of "
            rule = f"{of}the photos' longer side, in steps of {GRID}, at most {LARGEST}"
        else:
            rule = "the smallest on which the tags stay true: the stage measures it"
        found.append(Value(stage, "crops", side, rule))
    photos, size = len(index.records), params.inference.shard_size
    cut = f"photos / {SHARDS}, {SMALLEST_SHARD} to {LARGEST_SHARD}"
    if photos > FILES * LARGEST_SHARD:
        cut = f"photos / {FILES}, at most {MOST_PHOTOS}"
    found.append(Value("inference", "shards", f"{size or shard_size(photos)} photos", AS_WRITTEN if size else cut))
    fast = fast_bf16()
    computing = {name: section.optim.precision for name, section in sections.items()} | {"cams": params.cams.precision}
    for name in (name for name, precision in computing.items() if precision == "bf16-mixed" and not fast):
        found.append(Value(name, "precision", "bf16-mixed", "slow: this machine has no bf16, set it to auto"))
    rule = f"this machine has {'' if fast else 'no '}bf16 (precision: auto)"
    found.append(Value("machine", "precision", "bf16-mixed" if fast else "32-true", rule))
    found.append(Value("machine", "workers", f"{workers()} processes", "cores, at most 8 (WSSS_WORKERS)"))
    found.append(Value("dataset", "read size", f"{read_size(index.records)} px", "median longer side of the photos"))
    return found


def _length(stage: str, index: Index) -> str:
    many = f"photos · {index.foreground} classes / {CLASSES}" if index.foreground > CLASSES else "photos"
    return f"{STEPS[stage]:g} · √({many}) steps of {BATCH}"
