"""Stage `distill`: the student, trained on pseudo-labels with OSTE as its teacher, in one or two rounds.

Our design after DKD-GC (doi 10.11834/jig.250040): stage 1 teaches features and correspondence, stage 2 the predictions
of a frozen teacher or of a mutual pair. In self-training, the first round's student corrects the labels for the second.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from wsss.core.atomic import write_text
from wsss.core.environment import leads
from wsss.core.errors import IntegrityError, UserError
from wsss.core.live import note_history
from wsss.core.log import phase, say, warn
from wsss.core.stage import Stage
from wsss.data.inference import InferenceSettings
from wsss.distill.agreement import Agreement, agreement
from wsss.distill.cells import Cells, see_photos
from wsss.distill.data import LabelledImages, TrainingData
from wsss.distill.linear import fit_linear
from wsss.distill.networks import FrozenOste, ProjectedStudent, Students, make_student, student_card
from wsss.distill.relabel import STORE, change_fractions, no_labels, relabel_photos
from wsss.distill.settings import DistillSettings
from wsss.distill.snapshots import Snapshots
from wsss.distill.step import DistillStep
from wsss.models.base_student import BaseStudent
from wsss.models.checkpoint import NetworkCard, save_network
from wsss.models.linear_student import LinearStudent
from wsss.models.oste import load_oste
from wsss.models.student import load_student
from wsss.stores.labels import RelabelledStore
from wsss.training.loop import History, fit
from wsss.training.processes import current, together

FIRST, SECOND = "student 1 of 2", "student 2 of 2"
"""What the two rounds are called where someone looks on."""


@dataclass(frozen=True)
class Distilled:
    """Results of the stage apart from the student: `history` of all rounds and, in the scratch folder, `relabelled`,
    the store of corrected labels (empty after one round), and `epochs`, the folder of `Snapshots`; the `agreement` of
    the student with the labels of photos that it has not seen.
    """

    history: History
    relabelled: Path
    epochs: Path
    agreement: Agreement


@together()
def distill(
    stage: Stage, data: TrainingData, settings: DistillSettings, inference: InferenceSettings, out: Path
) -> Distilled:
    """Train the student in one or two rounds and write it to `out`. Of a mutual pair, the first student is written."""
    settings = settings.planned(data.photos.records, data.index.foreground)
    settings.check()
    data.check(settings)
    first, *more = settings.each_round()
    card = student_card(data.index, first, data.remark)
    student = make_student(card, data.oste, data.seed, first)
    cells = None
    if isinstance(student, LinearStudent) and not settings.linear_first:
        cells = see_photos(student, data, settings.optim.precision, stage.name)
    epochs = stage.scratch / "epochs"
    if not more:
        watch = Snapshots(student, card.classes, data.photos, epochs)
        history = train_round(student, card, data, first, stage, "training", watch, cells)
        relabelled = no_labels(stage, data) if leads() else stage.scratch
    else:
        with phase(FIRST):
            before, student_file = _first_round(student, card, data, first, stage, epochs, cells)
        with phase("labels between the rounds"):
            labels = _corrected_labels(stage, data, student_file, settings, inference)
        relabelled = labels.path
        fractions = change_fractions(labels, data.photos)
        listed = ", ".join(f"{name} {fraction:.1%}" for name, fraction in fractions.items())
        say(f"{stage.name}: fractions of pixels that the first round's student changed: {listed}")
        card = student_card(data.index, settings, data.remark)
        if settings.restart:
            student = make_student(card, data.oste, data.seed, settings)
        else:
            student.load_state_dict(load_student(student_file, card.classes)[0].state_dict())
        # Another seed, so that crops differ from the first round's: the seed is part of their generators' key.
        corrected = replace(data, labels=labels, seed=data.seed + 1)
        watch = Snapshots(student, card.classes, data.photos, epochs, len(before))
        with phase(SECOND):
            after = train_round(student, card, corrected, more[0], stage, "second", watch, cells)
        history = joined(before, after, fractions)
    agrees = agreement(student.eval(), data.index, data.photos, data.labels, stage.name)
    save_network(out, student, card)
    return Distilled(history, relabelled, epochs, agrees)


def train_round(
    student: BaseStudent,
    card: NetworkCard,
    data: TrainingData,
    settings: DistillSettings,
    stage: Stage,
    name: str,
    watch: Snapshots,
    cells: Cells | None = None,
) -> History:
    """Train `student` in place on `data` with the losses of `settings`. Returns the history.

    Its checkpoints lie in folder `name` of the stage's scratch; `watch` is called after each epoch. `cells`: what a
    linear student sees of the photos, where another round sees it too.
    """
    if isinstance(student, LinearStudent):
        if cells is None:
            cells = see_photos(student, data, settings.optim.precision, stage.name)
        return fit_linear(student, cells, data, settings, stage.name, watch)
    needs = {need for loss in settings.losses() for need in loss.needs}
    oste = None
    if needs & {"oste", "features"} or ("predictions" in needs and not settings.mutual):
        oste = FrozenOste(load_oste(data.oste, card.classes)[0], settings.optim.precision)
    if "predictions" in needs and oste is not None and oste.network.segmentation is None and not settings.mutual:
        what = "found frozen, but OSTE predicts nothing: it was not trained (train.enabled: false)"
        raise UserError("distill.stage2.kl.teacher", what, "set distill.stage2.kl.enabled: false")
    channels = oste.channels if oste is not None and "features" in needs else None
    # Projections begin at random, and a rerun finds the first round finished: it has drawn other numbers up to here.
    torch.manual_seed(data.seed)
    students = [ProjectedStudent(student, channels)]
    if settings.mutual:
        students.append(ProjectedStudent(make_student(card, data.oste, data.seed + 1, settings), channels))
    step = DistillStep(Students(*students), oste, data.seed, settings)
    crops = LabelledImages(data.photos, data.labels, data.index.foreground, data.seed, settings.augment)
    return fit(step, crops, data.ids, data.seed, settings.optim, stage.scratch / name, stage.name, watch)


def _first_round(
    student: BaseStudent,
    card: NetworkCard,
    data: TrainingData,
    settings: DistillSettings,
    stage: Stage,
    epochs: Path,
    cells: Cells | None,
) -> tuple[History, Path]:
    """The first round's history and its student's file. Both are in the scratch folder, where a rerun finds them."""
    file, rows = stage.scratch / "first.pt", stage.scratch / "first.json"
    if rows.exists():
        try:
            load_student(file, card.classes)
            seal, _, text = rows.read_text(encoding="utf-8").partition("\n")
            if seal != hashlib.sha256(text.encode()).hexdigest():
                raise ValueError(f"{rows.name} is damaged")
            known: History = json.loads(text)
            note_history(known, len(known))
            return known, file
        except (IntegrityError, UserError, ValueError) as error:
            warn(file, f"not usable ({error})", "none needed: the first round goes on from its checkpoint")
    watch = Snapshots(student, card.classes, data.photos, epochs)
    history = train_round(student, card, data, settings, stage, "first", watch, cells)
    save_network(file, student, card)
    text = json.dumps(history)
    write_text(rows, f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}")
    return history, file


def _corrected_labels(
    stage: Stage, data: TrainingData, student: Path, settings: DistillSettings, inference: InferenceSettings
) -> RelabelledStore:
    """The labels corrected by the first round's student. With several processes, the first one makes them."""
    if leads():
        relabel_photos(stage, data, student, settings.relabel, inference)
    current().wait()  # all others wait for the labels
    return RelabelledStore(stage.scratch / STORE)


def joined(first: History, second: History, changes: Mapping[str, float]) -> History:
    """The histories of two rounds as one: losses that the first round lacks are 0 there, as are `changes`."""
    none = dict.fromkeys(changes, 0.0)
    columns = [*(name for name in second[0] if name != "grad_norm"), *changes, "grad_norm"]
    rows = [none | row for row in first]
    rows += [{**row, "epoch": row["epoch"] + len(first), **changes} for row in second]
    return [{name: row.get(name, 0.0) for name in columns} for row in rows]
