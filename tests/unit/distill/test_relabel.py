"""Labels that a student gives the photos it has learnt from: the rules pixel by pixel, and the classes of the tags."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from tests import toy_cheat
from tests.helpers import CLASSES, tree
from tests.toy_distill import ToyStore, toy_stage
from tests.toy_oste import CRF, toy_photos
from wsss.core.errors import IntegrityError
from wsss.crf.dense import dense_crf
from wsss.data.images import save_mask_png
from wsss.data.index import IGNORE, Index, read_index, write_index
from wsss.data.inference import InferenceSettings
from wsss.distill.data import TrainingData
from wsss.distill.relabel import BEFORE, change_fractions, corrected, no_labels, relabel_photos
from wsss.distill.rules import RelabelSettings
from wsss.models.backbones.registry import BackboneSettings
from wsss.models.checkpoint import STUDENT, NetworkCard, save_network
from wsss.models.student import Student, build_student
from wsss.stores.labels import RelabelledStore

RULES = RelabelSettings(tau_bg=0.6, tau_fg=0.7, overrule=True, crf=CRF)
AGREEING = RULES.model_copy(update={"agree": True})
WITHOUT_CRF = RULES.model_copy(update={"crf": None})
INFERENCE = InferenceSettings(batch=2, threads=1, shard_size=3)


def by_pixel(old: int, q: list[float], p: list[float], rules: RelabelSettings) -> int:
    """`q` before, `p` after the CRF."""
    best = max(range(1, len(p)), key=lambda k: p[k])
    sure = 0 if p[0] > rules.tau_bg else best if p[best] > rules.tau_fg else None
    if rules.agree and np.argmax(q) != np.argmax(p):
        sure = None
    if old == IGNORE:
        return IGNORE if sure is None or not rules.fill else sure
    if sure is not None and (old == 0) != (sure == 0):
        return sure
    return old if max(range(len(p)), key=lambda k: p[k]) == old else IGNORE


@pytest.mark.parametrize("rules", [RULES, AGREEING, WITHOUT_CRF], ids=["crf", "agree", "plain"])
def test_rules_act_on_the_probabilities_of_the_tags(tmp_path: Path, rules: RelabelSettings) -> None:
    photos = toy_photos(tmp_path)
    store = ToyStore(photos)
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for record in photos.records:
        image = photos.image(record)
        scores = (2 * torch.randn(len(CLASSES), *image.shape[:2], generator=generator)).softmax(0)
        there = [0, *sorted(record.tags)]
        limited = own = scores[there].numpy() / scores[there].sum(0).numpy()
        if rules.crf is not None and len(there) > 1:
            limited = dense_crf(image, limited, rules.crf)
        shares, posteriors = np.zeros((2, *scores.shape), np.float32)
        shares[there], posteriors[there] = own, limited
        found = corrected(image, scores, record, store, rules)
        old, new = store.label(record.id), found.labels[0].numpy()
        for y, x in np.ndindex(old.shape):
            expected = by_pixel(int(old[y, x]), shares[:, y, x].tolist(), posteriors[:, y, x].tolist(), rules)
            assert new[y, x] == expected
            seen.add((min(int(old[y, x]), 1) if old[y, x] != IGNORE else 2, expected))
        assert set(np.unique(new)) <= {*there, IGNORE}
        sure, before = found.confidence[0].numpy(), store.confidence(record.id)
        for y, x in np.ndindex(old.shape):
            if new[y, x] == old[y, x]:
                assert sure[y, x] == before[y, x]
            else:
                share = 0.0 if new[y, x] == IGNORE else own[there.index(new[y, x]), y, x]
                assert sure[y, x] == pytest.approx(share, abs=1e-6)
    assert {(0, IGNORE), (1, 0), (2, 0), (2, IGNORE)} <= seen  # or the case could not tell


def a_student() -> tuple[Student, NetworkCard]:
    """The same one at every call. It holds all tags for improbable, which is no reason to leave out given ones."""
    torch.manual_seed(1)
    shape = {"channels": 32, "dropout": 0.1, "tag_threshold": 0.999}
    card = NetworkCard(STUDENT, BackboneSettings(name="tiny", weights="random"), shape, CLASSES, "random")
    network = build_student(card, load_weights=True)
    nn.init.normal_(network.head.weight, std=1.0)
    return network, card


def toy_material(folder: Path) -> TrainingData:
    photos = toy_photos(folder / "photos")
    return TrainingData(Index(CLASSES, tuple(photos.records)), photos, ToyStore(photos), folder / "none.pt", 0)


@pytest.fixture
def made(tmp_path: Path) -> RelabelledStore:
    network, card = a_student()
    save_network(tmp_path / "student.pt", network, card)
    return relabel_photos(toy_stage(tmp_path), toy_material(tmp_path), tmp_path / "student.pt", RULES, INFERENCE)


def test_store_holds_what_the_network_says_of_whole_photos(made: RelabelledStore, tmp_path: Path) -> None:
    photos = toy_photos(tmp_path / "photos")
    store = ToyStore(photos)
    network, _ = a_student()
    network.eval()
    assert made.ids == tuple(sorted(record.id for record in photos.records))
    counts = {"to_background": 0, "to_class": 0, "to_unsure": 0, "filled": 0}
    pixels = 0
    for record in photos.records:
        image = photos.image(record)
        view = torch.from_numpy(image).permute(2, 0, 1)[None].float()
        grid = (-(-image.shape[0] // 4), -(-image.shape[1] // 4))

        def probabilities(x: torch.Tensor, grid: tuple[int, int] = grid) -> torch.Tensor:
            with torch.no_grad():
                return F.interpolate(network.look(x).logits, grid, mode="bilinear").softmax(1)

        both = (probabilities(view) + probabilities(view.flip(-1)).flip(-1)) / 2
        whole = F.interpolate(both, image.shape[:2], mode="bilinear")[0]
        expected = corrected(image, whole, record, store, RULES)
        old, new = store.label(record.id), made.label(record.id)
        # Photos go through the network in batches: rounding may tip a pixel.
        assert (new == expected.labels[0].numpy()).mean() > 0.995
        np.testing.assert_array_equal(made.label(record.id, BEFORE), old)
        pixels += old.size
        for before, after in zip(old.ravel().tolist(), new.ravel().tolist(), strict=True):
            if before == IGNORE and after != IGNORE:
                counts["filled"] += 1
            elif before != after:
                counts["to_background" if after == 0 else "to_unsure" if after == IGNORE else "to_class"] += 1
    fractions = change_fractions(made, photos)
    assert fractions == {name: pytest.approx(count / pixels) for name, count in counts.items()}
    assert counts["filled"] > 0


def test_store_lies_in_scratch_and_says_how_it_was_made(made: RelabelledStore, tmp_path: Path) -> None:
    assert made.path == tmp_path / "scratch/relabelled"
    made.expect_classes(CLASSES)
    assert not made.upper_bound
    told = {name: made.attributes[name] for name in ("tau_bg", "tau_fg", "overrule", "fill", "agree", "flip", "scales")}
    assert told == {
        "tau_bg": 0.6,
        "tau_fg": 0.7,
        "overrule": True,
        "fill": True,
        "agree": False,
        "flip": True,
        "scales": "1",
    }
    assert made.attributes["crf"] is True
    assert made.attributes["crf.iterations"] == CRF.iterations
    assert made.attributes["multiscale"] is False
    shards = sorted(file.name for file in made.path.iterdir() if file.suffix == ".h5")
    assert shards == ["00000.h5", "00001.h5", "00002.h5"]


def test_store_without_crf_and_at_several_scales_says_so(tmp_path: Path) -> None:
    network, card = a_student()
    save_network(tmp_path / "student.pt", network, card)
    rules = WITHOUT_CRF.model_copy(update={"scales": (1.0, 0.5)})
    store = relabel_photos(toy_stage(tmp_path), toy_material(tmp_path), tmp_path / "student.pt", rules, INFERENCE)
    assert not store.attributes["crf"]  # stage `evaluate` asks this way
    assert store.attributes["multiscale"] is True
    with_crf = relabel_photos(
        toy_stage(tmp_path / "crf"), toy_material(tmp_path), tmp_path / "student.pt", RULES, INFERENCE
    )
    assert with_crf.attributes["crf"]


def test_workers_write_the_same_store_and_leave_the_threads_alone(
    made: RelabelledStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WSSS_WORKERS", "2")
    torch.set_num_threads(2)
    stage = toy_stage(tmp_path / "workers")
    store = relabel_photos(stage, toy_material(tmp_path), tmp_path / "student.pt", RULES, INFERENCE)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    assert tree(store.path) == tree(made.path)


def test_one_round_has_an_empty_store(tmp_path: Path) -> None:
    for upper_bound in (False, True):
        data = replace(toy_material(tmp_path), upper_bound=upper_bound)
        store = RelabelledStore(no_labels(toy_stage(tmp_path / str(upper_bound)), data))
        store.expect_classes(CLASSES)
        assert store.ids == ()
        assert store.upper_bound is upper_bound


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: photos with masks and their index, settings, and a student."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WSSS_SCRATCH", str(tmp_path / "scratch"))
    network, card = a_student()
    save_network(tmp_path / "student.pt", network, card)
    (tmp_path / "params.yaml").write_text("dataset: {root: data}\n")
    records = toy_photos(tmp_path / "data").records
    (tmp_path / "data" / toy_cheat.MASKS).mkdir()
    masked = [replace(record, mask=f"{toy_cheat.MASKS}/{record.image}") for record in records]
    for record in masked:
        assert record.mask is not None
        save_mask_png(tmp_path / "data" / record.mask, np.ones(record.size, np.uint8))
    write_index(tmp_path / "artifacts/dataset", Index(CLASSES, tuple(masked)))
    return tmp_path


def learn(*arguments: str) -> None:
    toy_cheat.main.main(list(arguments), standalone_mode=False)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_relabelling_that_opens_masks_ends_the_stage(
    project: Path, workers: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The masks that the index knows, by a path that someone has put together, here or in a worker process."""
    monkeypatch.setenv("WSSS_WORKERS", workers)
    monkeypatch.setattr("wsss.distill.relabel.relabel_shard", toy_cheat.cheating_shard)
    with pytest.raises(SystemExit) as ended:
        learn()
    assert ended.value.code == IntegrityError.exit_code
    said = capfd.readouterr().err
    assert re.search(r"SegmentationClass/\d.png: stage distill opened a mask; training and label-making must not", said)
    assert not (project / "relabelled").exists()
    Image.open(project / "data" / toy_cheat.MASKS / "0.png").close()  # the stage is over


def test_masks_beside_the_photos_change_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for workers in ("0", "2"):
        monkeypatch.setenv("WSSS_WORKERS", workers)
        learn("--out", workers)
    index = read_index(project / "artifacts/dataset")
    write_index(project / "bare", replace(index, records=tuple(replace(r, mask=None) for r in index.records)))
    learn("--dataset", "bare", "--out", "without")
    assert tree(project / "0") == tree(project / "2") == tree(project / "without")
