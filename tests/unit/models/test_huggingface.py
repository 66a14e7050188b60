"""Backbones of transformers: their maps, weights, normalisation, and checkpoints that need no file of the model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests import toy_distill, toy_oste
from tests.helpers import CLASSES
from tests.toy_hub import CONFIGS, STRIDES, save_model, transformers
from wsss.core.errors import EnvError, IntegrityError, UserError
from wsss.core.stage import make_fingerprint
from wsss.distill.networks import make_student
from wsss.models.backbones import hub
from wsss.models.backbones.base import freeze_batch_norm, freeze_levels
from wsss.models.backbones.huggingface import HuggingFace
from wsss.models.backbones.registry import (
    BackboneSettings,
    architecture_of,
    build_backbone,
    weights_inputs,
    weights_source,
)
from wsss.models.checkpoint import CLASSIFIER, NetworkCard, save_network
from wsss.models.classifier import build_classifier
from wsss.models.oste import load_oste
from wsss.models.student import load_student
from wsss.numeric.device import set_threads


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The name of a saved model of each kind."""
    root = tmp_path_factory.mktemp("models")
    return {kind: save_model(root / kind, kind) for kind in CONFIGS}


def settings(name: str, kind: str, weights: str = "imagenet") -> BackboneSettings:
    return BackboneSettings(name=name, output_stride=STRIDES[kind], weights=weights)  # type: ignore[arg-type]


def folder_of(name: str) -> Path:
    return Path(name.removeprefix("hf:"))


def images(*size: int, count: int = 2) -> Tensor:
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(3)) * 255


@pytest.mark.parametrize("kind", CONFIGS)
def test_maps_are_as_declared_for_any_size_and_learn_deterministically(models: dict[str, str], kind: str) -> None:
    set_threads(1)  # backward passes without a deterministic form raise
    backbone = build_backbone(settings(models[kind], kind))
    names = [level.name for level in backbone.levels]
    assert names == (["c2", "c3", "c4", "c5"] if STRIDES[kind] == 32 else ["b1", "b2", "b3", "b4"])
    assert backbone.levels[-1].stride == STRIDES[kind]
    freeze_batch_norm(backbone)
    for size in ((1, 1), (37, 50), (9, 70)):
        maps = backbone(images(*size))
        expected = [(2, each.channels, *(-(-side // each.stride) for side in size)) for each in backbone.levels]
        assert [tuple(found.shape) for found in maps] == expected
        sum(found.square().mean() for found in maps).backward()  # type: ignore[union-attr]
    with torch.autocast("cpu", torch.bfloat16):
        narrow = backbone(images(70, 9))
    torch.testing.assert_close(narrow[-1].float()[..., 0], narrow[-1].float()[..., 0].nan_to_num())
    assert all(p.grad is not None for p in backbone.parameters() if p.requires_grad)


@pytest.mark.parametrize("kind", CONFIGS)
def test_first_levels_are_frozen_and_no_others(models: dict[str, str], kind: str) -> None:
    backbone = build_backbone(settings(models[kind], kind))
    freeze_levels(backbone, 2)
    free = {name: p for name, p in backbone.named_parameters() if p.requires_grad}
    maps = backbone(images(33, 40))
    assert not any(found.requires_grad for found in maps[:2])
    found = torch.autograd.grad(sum(each.square().sum() for each in maps[2:]), list(free.values()))  # type: ignore[arg-type]
    assert len(found) == len(free) > 4


@pytest.mark.parametrize("kind", ["convnext", "dinov2"])
@torch.inference_mode()
def test_maps_are_those_of_the_library(models: dict[str, str], kind: str) -> None:
    """Of a photo of whole cells, to which nothing is added. DINOv2's patches of 14 pixels cover 16 of it."""
    backbone = build_backbone(settings(models[kind], kind)).eval()
    config = CONFIGS[kind]()
    config.out_features = config.stage_names[1:]
    direct = transformers.AutoBackbone.from_config(config).eval()
    direct.load_state_dict(backbone.network.state_dict())  # type: ignore[union-attr]
    x = images(64, 96)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    seen = (x / 255 - mean) / std
    if kind == "dinov2":
        seen = F.interpolate(seen, (56, 84), mode="bilinear", align_corners=False)
    for found, expected in zip(backbone(x), direct(seen).feature_maps, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_weights_are_the_folders_or_random(models: dict[str, str]) -> None:
    saved = transformers.AutoModel.from_pretrained(folder_of(models["dinov2"])).state_dict()
    pretrained = build_backbone(settings(models["dinov2"], "dinov2")).network.state_dict()  # type: ignore[union-attr]
    assert all(torch.equal(saved[name], pretrained[name]) for name in saved.keys() & pretrained.keys())
    assert saved.keys() & pretrained.keys()
    torch.manual_seed(1)
    random = build_backbone(settings(models["dinov2"], "dinov2", "random")).network.state_dict()  # type: ignore[union-attr]
    names = [name for name in random if name.endswith("weight") and "norm" not in name and random[name].ndim > 1]
    assert names
    assert not any(torch.equal(random[name], pretrained[name]) for name in names)
    assert weights_source(settings(models["dinov2"], "dinov2", "random")) == "random"
    assert weights_source(settings(models["dinov2"], "dinov2")).startswith("hf:dinov2 (model.safetensors, sha256 ")


def test_normalisation_is_the_folders_or_imagenets(tmp_path: Path) -> None:
    name = save_model(tmp_path / "m", "resnet")
    chosen = settings(name, "resnet")
    torch.testing.assert_close(build_backbone(chosen).mean, [255 * v for v in (0.485, 0.456, 0.406)])
    said = tmp_path / "m" / "preprocessor_config.json"
    for content, mean, std in [
        ({"image_mean": [0.5] * 3, "image_std": [0.25] * 3}, 127.5, 63.75),
        ({"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "rescale_factor": 1 / 127.5}, 63.75, 63.75),
        ({"do_normalize": False, "image_mean": [0.5] * 3}, 0.0, 255.0),
    ]:
        said.write_text(json.dumps(content), encoding="utf-8")
        backbone = build_backbone(chosen)
        assert backbone.mean == pytest.approx((mean,) * 3)
        assert backbone._std.flatten().tolist() == pytest.approx([std] * 3)
    for wrong in ('{"image_mean": [0.5]}', '{"image_std": [0, 0, 0]}', "[]", "{"):
        said.write_text(wrong, encoding="utf-8")
        with pytest.raises(IntegrityError, match=r"preprocessor_config\.json"):
            build_backbone(chosen)


def test_changed_weights_change_the_fingerprint_and_the_reports(tmp_path: Path) -> None:
    chosen = settings(save_model(tmp_path / "m", "resnet"), "resnet")
    found = []
    for seed in (0, 1):
        save_model(tmp_path / "m", "resnet", seed)
        found.append((make_fingerprint("pretrain", {}, weights_inputs(chosen)), weights_source(chosen)))
    assert found[0][0] != found[1][0]
    assert found[0][1] != found[1][1]
    file = tmp_path / "weights.pth"
    file.write_bytes(b"1")
    assert weights_inputs(BackboneSettings(name="tiny", weights=str(file))) == [file]
    assert weights_inputs(BackboneSettings()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output_stride": 8}, "found 8, expected 32 for hf:m: it has no dilated form"),
        ({"width": 0.5}, "has one width"),
        ({"weights": "other.pth"}, "comes with its weights"),
    ],
)
def test_settings_that_it_lacks(tmp_path: Path, change: dict[str, object], message: str) -> None:
    chosen = settings(save_model(tmp_path / "m", "resnet"), "resnet").model_copy(update=change)
    with pytest.raises(UserError) as caught:
        build_backbone(chosen)
    assert message in caught.value.what


def test_folders_that_are_refused(tmp_path: Path) -> None:
    name = save_model(tmp_path / "m", "convnext")
    chosen, folder = settings(name, "convnext"), tmp_path / "m"

    def refused(error: type[Exception], text: str) -> None:
        with pytest.raises(error, match=text):
            build_backbone(chosen)

    weights, config = (folder / "model.safetensors").read_bytes(), (folder / "config.json").read_text(encoding="utf-8")
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    refused(IntegrityError, "cannot be read as the weights")
    (folder / "model.safetensors").unlink()
    refused(UserError, r"there is no model\.safetensors")
    (folder / "pytorch_model.bin").write_bytes(b"")
    refused(UserError, r"found pytorch_model\.bin, expected model\.safetensors")
    (folder / "model.safetensors").write_bytes(weights)
    plain = json.loads(config)
    (folder / "config.json").write_text(json.dumps(plain | {"depths": [1, 1, 2, 1]}), encoding="utf-8")
    refused(
        UserError, r"tensors of the network that config\.json describes are missing \(encoder\.stages\.2\.layers\.1"
    )
    (folder / "config.json").write_text(json.dumps(plain | {"hidden_sizes": [8, 16, 16, 32]}), encoding="utf-8")
    refused(IntegrityError, "cannot be read as the weights")
    (folder / "config.json").write_text(json.dumps(plain | {"model_type": "bert"}), encoding="utf-8")
    refused(UserError, "hf:m is a bert, of which transformers has no backbone")
    (folder / "config.json").unlink()
    refused(UserError, r"there is no config\.json")


def test_missing_model_and_missing_library(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="there is no folder /nowhere/model"):
        build_backbone(BackboneSettings(name="hf:/nowhere/model"))
    import huggingface_hub

    def offline(*_: object, local_files_only: bool = False, **__: object) -> str:
        raise OSError("no cache" if local_files_only else "no route to host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(EnvError, match=r"cannot be downloaded \(no route to host\)") as caught:
        build_backbone(BackboneSettings(name="hf:facebook/nothing"))
    assert "hf download facebook/nothing --local-dir FOLDER" in caught.value.fix
    assert "downloading it from huggingface.co" in "".join(capsys.readouterr())
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(EnvError, match=r"hf: backbones need") as missing:
        hub.library()
    assert missing.value.fix == "pip install 'wsss[hf]'"


def test_cached_model_is_not_fetched(models: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked: list[bool] = []

    def cache(*_: object, local_files_only: bool = False, **__: object) -> str:
        asked.append(local_files_only)
        return str(folder_of(models["resnet"]))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", cache)
    assert hub.model_folder("hf:microsoft/resnet") == folder_of(models["resnet"])
    assert asked == [True]
    assert hub.shown("hf:microsoft/resnet") == "hf:microsoft/resnet"
    assert hub.shown(models["resnet"]) == "hf:resnet"


@pytest.mark.parametrize("kind", ["convnext", "dinov2"])
def test_trains_to_checkpoints_that_need_no_file_of_the_model(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OSTE, with tiles, scales and fused levels; then a student that starts from it, after the model has moved."""
    torch.manual_seed(0)
    backbone = settings(save_model(tmp_path / "m", kind), kind)
    card = NetworkCard(CLASSIFIER, backbone, {"dropout": 0.5}, CLASSES, "", architecture=architecture_of(backbone))
    network = build_classifier(card, load_weights=True)
    torch.nn.init.normal_(network.head.weight, std=0.1)

    def classifier(path: Path, bias: bool) -> Path:
        assert bias  # as `card` has it
        save_network(path, network, card)
        return path

    monkeypatch.setattr(toy_oste, "toy_classifier", classifier)
    levels = [level.name for level in network.backbone.levels[1:]]
    chosen = toy_oste.without_crf(
        toy_oste.altered(
            output_stride=STRIDES[kind],
            frozen_levels=1,
            fusion={"levels": tuple(levels)},
            expansion={"tilings": (2,)},
            scales=(1.0,),
            optim={"epochs": 2, "lr": 0.001},
        )
    )
    history, _ = toy_oste.train_toy_oste(tmp_path, chosen)
    assert len(history) == 2
    moved = settings(f"hf:{shutil.move(tmp_path / 'm', tmp_path / 'moved')}", kind)
    oste, found = load_oste(tmp_path / "oste.pt", CLASSES)
    assert isinstance(oste.backbone, HuggingFace)
    assert found.architecture == architecture_of(moved)
    student = toy_distill.altered(
        init="oste",
        backbone=moved.model_dump(),
        stage1__enabled=False,
        stage2__energy__enabled=False,
        optim__epochs=2,
        optim__lr=0.001,
    )
    toy_distill.train_student(tmp_path, student)
    shutil.rmtree(tmp_path / "moved")
    trained, _ = load_student(tmp_path / "student.pt", CLASSES)
    with torch.inference_mode():
        assert trained(images(40, 50, count=1)).isfinite().all()


def test_student_starts_from_the_same_network_only(tmp_path: Path) -> None:
    name = save_model(tmp_path / "a", "dinov2")
    other = settings(save_model(tmp_path / "b", "beit"), "beit")
    oste = toy_distill.write_oste(tmp_path / "oste.pt")
    chosen = toy_distill.altered(init="oste", backbone=other.model_dump())
    card = NetworkCard(
        "student",
        other,
        {"channels": 32, "dropout": 0.1, "tag_threshold": None},
        CLASSES,
        "",
        architecture=architecture_of(other),
    )
    with pytest.raises(UserError, match="OSTE is a tiny"):
        make_student(card, oste, 0, chosen)
    assert architecture_of(settings(name, "dinov2")) != architecture_of(other)
    assert architecture_of(BackboneSettings()) is None
