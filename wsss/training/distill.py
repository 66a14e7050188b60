"""Training of the student: on pseudo-labels, and with teachers as far as the settings say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from wsss.core.device import leads
from wsss.core.errors import UserError
from wsss.core.stage import Stage
from wsss.data.index import IGNORE
from wsss.inference.relabel import relabel_photos
from wsss.models.backbones.registry import weights_source
from wsss.models.checkpoint import NetworkCard, save_network
from wsss.stores.labels import PseudoStore
from wsss.stores.snapshots import publish
from wsss.training.in_turn import teach_in_turn
from wsss.training.loop import History
from wsss.training.snapshots import Snapshots
from wsss.training.students import PSEUDO, DistillSettings, Material, make_student, teach


def distill(
    stage: Stage, given: Material, settings: DistillSettings, out: Path, relabelled: Path, epochs: Path
) -> History:
    """Train the student on the labels of `given.photos` and write it to `out`. Returns the history.

    `given.oste` is the network file of the teacher, which the student may also start from. Of two students that learn
    together the first is written, of two in turn the second; the labels that the first of these has corrected become
    the store `relabelled`, which is empty otherwise. `epochs` becomes the folder of its `Snapshots`.
    """
    check_lessons(settings)
    if given.upper_bound and settings.in_turn and settings.first.rules.overrule:
        raise UserError(
            "distill.first.rules.overrule",
            "found true: a first student would overrule the masks, and the result would be no upper bound",
            "set it to false; or set distill.stage2.enabled: false, for one student",
        )
    ids = [record.id for record in given.photos.records]
    if settings.seg.enabled and all(bool((given.labels.label(name) == IGNORE).all()) for name in ids):
        raise UserError(
            "pseudo-labels",
            f"not one pixel of {len(ids)} photos is labelled, so there is nothing to learn",
            "lower correct.fixed.alpha, or train the classifier longer (pretrain.optim.epochs)",
        )
    threshold = settings.tags.threshold if settings.tags.enabled else None
    shape = {"channels": settings.channels, "dropout": settings.dropout, "tag_threshold": threshold}
    weights = weights_source(settings.backbone) + ("; UPPER BOUND: trained on masks" if given.upper_bound else "")
    card = NetworkCard("student", settings.backbone, shape, given.index.classes, weights)
    student = make_student(card, given.oste, given.index, given.seed, settings)
    snapshots = stage.scratch / "epochs"
    if settings.in_turn:
        history = teach_in_turn(stage, student, card, given, settings, relabelled, snapshots)
    else:
        watch = Snapshots(student, given.photos, snapshots)
        history = teach(student, card, given, settings, stage.scratch, stage.name, watch)
        if leads():
            none = replace(given.photos, records=())
            first = settings.first
            relabel_photos(stage, given.index, none, given.labels, out, first, relabelled, given.upper_bound)
    if leads():
        publish(snapshots, epochs)
    save_network(out, student, card)
    return history


def check_lessons(settings: DistillSettings) -> None:
    """Raise `UserError` where there is an epoch in which nothing would be learnt, or a stage that never begins."""
    begins, epochs = settings.stage1.epochs, settings.optim.epochs
    if settings.stage2.enabled and begins >= epochs:
        raise UserError(
            "distill.stage1.epochs",
            f"found {begins} of {epochs} epochs, so that stage 2 never begins",
            f"lower it below {epochs}, or set distill.stage2.enabled: false",
        )
    if settings.in_turn and begins < 1:
        raise UserError(
            "distill.stage1.epochs",
            f"found {begins}: the first student would learn nothing",
            "set it to about half of distill.optim.epochs",
        )
    for epoch in (0, min(begins, epochs - 1)):
        if not any(weight for name, weight in settings.parts(epoch).items() if name != "tags"):
            raise UserError(
                "distill",
                f"no loss acts in epoch {epoch + 1}: every one is switched off or has weight 0",
                "set distill.seg.enabled: true and its weight above 0",
            )


def open_labels(pseudo: Path, settings: DistillSettings) -> PseudoStore:
    """The labels to learn from: `pseudo`, which stage `correct` wrote, or the store that `distill.labels` names.

    Raises `UserError` for masks that nobody asked for: a student of theirs is no weakly supervised one.
    """
    store = PseudoStore(settings.store(pseudo))
    if store.upper_bound and settings.labels == PSEUDO:
        raise UserError(
            store.path,
            "holds masks and not pseudo-labels (it is marked as an upper bound)",
            f"make pseudo-labels: dvc repro -f -s correct; or, for an upper bound, set distill.labels: {store.path}",
        )
    return store
