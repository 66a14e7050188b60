"""Maps of another method: read in every form that is documented, refused in others, and cut by stage `correct`."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import pipeline.correct
from experiments import correction
from tests.helpers import CLASSES
from tests.toy_oste import toy_photos
from wsss.commands import labels
from wsss.core.errors import UserError
from wsss.correct.mixtures import SCORES, GmmSettings, posteriors
from wsss.data.images import save_mask_png
from wsss.data.index import Index, Record, write_index
from wsss.evaluation.import_cams import cams_of
from wsss.stores.cams import CamStore
from wsss.stores.labels import PseudoStore

FOREGROUND = len(CLASSES) - 1


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WSSS_WORKERS", "0")
    monkeypatch.setenv("WSSS_SCRATCH", str(tmp_path / "scratch"))


def record(*tags: int) -> Record:
    return Record("a", "train", "a.png", None, tags, 6, 8, "0" * 64)


def saved(**arrays: Any) -> Path:
    np.savez("maps.npz", **arrays)
    return Path("maps.npz")


MAPS = np.random.default_rng(0).normal(size=(FOREGROUND, 3, 4)).astype(np.float32)


def expected(*tags: int) -> np.ndarray:
    maps = np.maximum(MAPS[[tag - 1 for tag in tags]], 0)
    return maps / maps.max((1, 2), keepdims=True)


def test_forms_of_maps() -> None:
    """All classes, with and without the background; those of the tags; by name; by number from 0 and from 1; IRN's."""
    last, rest = FOREGROUND, {str(number): each for number, each in enumerate(MAPS)}
    np.save("maps.npy", MAPS)
    forms: list[tuple[Path, int]] = [(Path("maps.npy"), 0)]
    with_background = np.concatenate([np.full_like(MAPS[:1], 9), MAPS])
    for arrays, first in (
        ({"cam": with_background}, 0),
        ({"any": MAPS[[0, last - 1]]}, 0),
        ({CLASSES[1]: MAPS[0], CLASSES[last]: MAPS[last - 1], CLASSES[0]: MAPS[0]}, 0),
        (rest, 0),
        ({str(int(number) + 1): each for number, each in rest.items()}, 1),
        ({"keys": np.array([0, last - 1]), "cam": MAPS[[0, last - 1]], "high_res": np.zeros((2, 30, 40))}, 0),
    ):
        path = Path(f"{len(forms)}.npz")
        np.savez(path, **arrays)
        forms.append((path, first))
    for path, first in forms:
        found = cams_of(path, record(1, last), CLASSES, first)
        np.testing.assert_allclose(found.scores, expected(1, last), rtol=1e-6)
        np.testing.assert_allclose(found.peaks, MAPS[[0, last - 1]].max((1, 2)), rtol=1e-6)
        assert found.classes.tolist() == [1, last]
        assert found.size == (6, 8)


def test_tags_without_a_map_have_no_signal_and_photos_without_tags_no_map() -> None:
    found = cams_of(saved(**{CLASSES[1]: MAPS[0]}), record(1, 2), CLASSES, 0)
    assert found.scores[1].max() == found.peaks[1] == 0
    assert cams_of(saved(**{CLASSES[1]: MAPS[0]}), record(), CLASSES, 0).scores.shape == (0, 3, 4)
    assert cams_of(saved(), record(1), CLASSES, 0).scores.shape == (1, 1, 1)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"cam": np.zeros((FOREGROUND + 2, 3, 4))}, f"maps of {FOREGROUND + 2} classes, expected 1 or {FOREGROUND} or"),
        ({CLASSES[1]: np.zeros((3, 4)), CLASSES[2]: np.zeros((4, 3))}, "maps of shape (3, 4), (4, 3)"),
        ({CLASSES[1]: np.full((3, 4), np.nan)}, "not finite"),
        ({f"{CLASSES[1]}s": np.zeros((3, 4))}, f"no class '{CLASSES[1]}s' (did you mean '{CLASSES[1]}'?)"),
        ({"99": np.zeros((3, 4))}, "no class '99'"),
        ({CLASSES[1]: np.array({"a": 1}, dtype=object)}, "holds a pickled object, which is a program"),
    ],
)
def test_what_is_no_map_is_refused(arrays: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        cams_of(saved(**arrays), record(1), CLASSES, 0)


def test_files_that_are_none_are_refused() -> None:
    Path("maps.npz").write_bytes(b"PK\x03\x04 no archive")
    Path("maps.npy").write_bytes(b"\x93NUMPY")
    for name in ("maps.npz", "maps.npy"):
        with pytest.raises(UserError, match="cannot be read"):
            cams_of(Path(name), record(1), CLASSES, 0)


def project() -> Index:
    """The index of some photos, settings of `correct`, and maps of noise for each photo."""
    index = Index(CLASSES, tuple(toy_photos(Path("photos")).records))
    write_index(Path("artifacts/dataset"), index)
    sections = {
        "dataset": {"root": "photos"},
        "inference": {"shard_size": 3},
        "correct": {"method": "fixed", "fixed": {"crf": "off"}},
        "evaluate": {"scales": [1.0]},
    }
    Path("params.yaml").write_text(json.dumps(sections))
    Path("mine").mkdir()
    rng = np.random.default_rng(1)
    for each in index.records:
        np.savez(Path("mine") / f"{Path(each.id).name}.npz", cam=rng.random((FOREGROUND, 3, 4)).astype(np.float32))
    return index


def run(*options: str) -> Result:
    return CliRunner().invoke(labels.main, ["import-cams", "mine", *options])


def test_labels_are_made_of_imported_maps() -> None:
    index = project()
    result = run("--made-by", "seam")
    assert result.exit_code == 0, result.output
    (place,) = Path("artifacts").glob("imported_cams_*")
    store = CamStore(place)
    assert store.ids == tuple(sorted(each.id for each in index.records))
    assert store.attributes["maps_by"] == "seam"
    assert not store.multiscale
    assert f"cams: maps of {len(index.records)} photos → {place}\n" in result.stdout
    command = next(line for line in result.stdout.splitlines() if line.startswith("to make labels of them: "))
    program, arguments = command.partition(": ")[2].split(" ", 3)[:3], command.partition("correct ")[2].split()
    assert program == ["python", "-m", "pipeline.correct"]
    made = CliRunner().invoke(pipeline.correct.main, arguments)
    assert made.exit_code == 0, made.output
    made_labels = PseudoStore(place.with_name(f"labels_of_{place.name}"))
    assert made_labels.ids == store.ids
    assert made_labels.attributes["maps_by"] == "seam"
    assert f"-S ++distill.labels={made_labels.path}" in result.stdout
    again = run("--made-by", "seam")
    assert f"→ {place}, which is there already" in again.stdout


def test_maps_and_labels_of_them_are_scored_without_training() -> None:
    """By the commands of docs/howto/own-cams.md. Maps that are the masks have 100 %."""
    index = project()
    masked = []
    for number, each in enumerate(index.records):
        mask = np.random.default_rng((number, 3)).choice(np.array([0, *each.tags], np.uint8), (each.height, each.width))
        save_mask_png(Path("photos") / f"{number}-mask.png", mask)
        masked.append(replace(each, mask=f"{number}-mask.png"))
        cam = np.stack([0.5 * (mask == number) for number in range(1, FOREGROUND + 1)])
        np.savez(Path("mine") / f"{Path(each.id).name}.npz", cam=cam.astype(np.float32))
    write_index(Path("artifacts/dataset"), replace(index, records=tuple(masked)))
    assert run("--made-by", "seam").exit_code == 0
    (place,) = Path("artifacts").glob("imported_cams_*")
    result = CliRunner().invoke(correction.main, ["--cams", str(place), "--split", masked[0].split, "--sigmoids"])
    assert result.exit_code == 0, result.output
    for name in ("CAM, fixed threshold = 0.27", "CAM, oracle = 0.01"):
        assert f"| {name} | no | 100.00 | 100.00 | 100.00 | 100.00 |" in result.output
    assert "| mixture, hybrid, agree | yes |" in result.output
    assert "| one sigmoid, cut 0.4, slope 20, agree | yes |" in result.output
    assert "| one sigmoid, oracle = cut " in result.output
    made = ["--cams", str(place), "--out", "made", "--mixtures", "m.csv", "--histograms", "h.csv"]
    assert CliRunner().invoke(pipeline.correct.main, made).exit_code == 0
    result = CliRunner().invoke(correction.main, ["--labels", "made", "--split", masked[0].split])
    assert result.exit_code == 0, result.output
    assert "| made |  | " in result.output
    write_index(Path("artifacts/dataset"), index)
    result = CliRunner().invoke(correction.main, ["--labels", "made", "--split", masked[0].split])
    assert result.exit_code == 2
    assert f"{masked[0].split}: no photo of this split has a mask" in result.output


@pytest.mark.parametrize(("cut", "slope"), [(0.3, 40), (0.44, 22.1)])
def test_the_control_of_the_mixture_is_a_sigmoid_of_the_score(cut: float, slope: float) -> None:
    background, foreground = posteriors(correction.one_sigmoid(cut, slope), GmmSettings(), 0.2, 0.8)
    assert np.allclose(foreground, 1 / (1 + np.exp(-slope * (SCORES - cut))))
    assert np.allclose(background, 1 - foreground)


def test_other_maps_get_another_name() -> None:
    index = project()
    run()
    np.savez(Path("mine") / f"{Path(index.records[0].id).name}.npz", cam=np.ones((FOREGROUND, 3, 4), np.float32))
    assert run().exit_code == 0
    assert len(list(Path("artifacts").glob("imported_cams_*"))) == 2


def test_photos_without_maps_are_named() -> None:
    index = project()
    (Path("mine") / f"{Path(index.records[1].id).name}.npz").unlink()
    result = run()
    assert result.exit_code == 2
    assert f"no maps of 1 of {len(index.records)} photos (1 {index.records[1].split})" in result.stderr
    assert f"first {index.records[1].id}.npz" in result.stderr
    assert CliRunner().invoke(labels.main, ["import-cams", "nowhere"]).exit_code == 2
