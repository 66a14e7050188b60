"""Two students in turn: the second learns from the labels that the first makes of the training photos."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from wsss.core.atomic import replace_dir, write_text
from wsss.core.device import leads
from wsss.core.log import say
from wsss.core.stage import Stage
from wsss.inference.relabel import change_shares, relabel_photos
from wsss.models.checkpoint import NetworkCard, load_network, save_network
from wsss.models.student import Student
from wsss.stores.labels import RelabelledStore
from wsss.training.loop import History, make_fabric
from wsss.training.snapshots import Snapshots
from wsss.training.students import DistillSettings, Material, make_student, teach


def teach_in_turn(
    stage: Stage,
    student: Student,
    card: NetworkCard,
    given: Material,
    settings: DistillSettings,
    out: Path,
    snapshots: Path,
) -> History:
    """Train a first student, let it correct the labels, and train `student` with them. Returns one history of both.

    The corrected labels become the store `out`; `snapshots` is the folder for those of both students. What is finished
    lies in the stage's scratch folder: the first student, and the corrected labels, shard by shard.
    """
    first, second = in_turn(settings)
    file, rows, relabelled = (stage.scratch / name for name in ("first.pt", "first.json", "relabelled"))
    if not rows.exists():
        watch = Snapshots(student, given.photos, snapshots)
        history = teach(student, card, given, first, stage.scratch / "first", stage.name, watch)
        save_network(file, student, card)
        write_text(rows, json.dumps(history))
    before: History = json.loads(rows.read_text(encoding="utf-8"))
    fabric = make_fabric(settings.optim.precision)
    fabric.launch()
    if leads() and not relabelled.exists():
        inner = replace(stage, scratch=stage.scratch / "labels")
        relabel_photos(
            inner, given.index, given.photos, given.labels, file, settings.first, relabelled, given.upper_bound
        )
    fabric.barrier()  # all others wait for the labels
    labels = RelabelledStore(relabelled)
    shares = change_shares(labels, given.photos)
    say(f"{stage.name}: shares of pixels changed by the first student: {_listed(shares)}")
    start = make_student(card, given.oste, given.index, given.seed, settings) if settings.first.restart else student
    if not settings.first.restart:
        start.load_state_dict(load_network(file, "student", given.index.classes)[0].state_dict())
    # Other crops than the first student's: their generators are keyed by the seed.
    anew = replace(given, labels=labels, seed=given.seed + 1)
    watch = Snapshots(start, given.photos, snapshots, len(before))
    after = teach(start, card, anew, second, stage.scratch / "second", stage.name, watch)
    student.load_state_dict(start.state_dict())
    if leads():
        replace_dir(relabelled, out)
    return joined(before, after, shares)


def in_turn(settings: DistillSettings) -> tuple[DistillSettings, DistillSettings]:
    """What the first and what the second of two students in turn learns: the epochs of stage 1, and all others."""
    stage1, optim = settings.stage1, settings.optim
    first = {
        "stage2": settings.stage2.model_copy(update={"enabled": False}),
        "optim": optim.model_copy(update={"epochs": stage1.epochs}),
    }
    second = {
        "stage1": stage1.model_copy(update={"epochs": 0}),
        "optim": optim.model_copy(update={"epochs": optim.epochs - stage1.epochs}),
    }
    return settings.model_copy(update=first), settings.model_copy(update=second)


def joined(first: History, second: History, changes: Mapping[str, float]) -> History:
    """The histories of two students in turn as one: losses that the first had not are 0 there, as are `changes`."""
    none = dict.fromkeys(changes, 0.0)
    columns = [*(name for name in second[0] if name != "grad_norm"), *changes, "grad_norm"]
    rows = [none | row for row in first]
    rows += [{**row, "epoch": row["epoch"] + len(first), **changes} for row in second]
    return [{name: row.get(name, 0.0) for name in columns} for row in rows]


def _listed(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
