"""The page as a whole: order, escaping, completeness, equal bytes."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pipeline.gallery import main
from tests.helpers import record_masks
from tests.toy_browser import CHROMIUM, acted
from tests.toy_evaluation import Project, run_stage
from wsss.core.atomic import sha256_file
from wsss.core.environment import scratch_root
from wsss.core.errors import IntegrityError, UserError
from wsss.core.folders import atomic_dir
from wsss.core.live import FOLDER, told
from wsss.core.recipes import read_recipe
from wsss.core.stage import hash_input
from wsss.data.ids import encode_id
from wsss.data.images import load_mask, save_mask_png
from wsss.data.index import Index, Record, write_index
from wsss.data.masks import MaskedImages
from wsss.data.origins import FROM_LABELS, LABELS_SHA, NETWORK, ORIGINS, Origin, digest, origins_text
from wsss.data.photos import Photos
from wsss.data.tables import csv_text
from wsss.evaluation.confusion import scores
from wsss.evaluation.counting import Stores, count_photo
from wsss.evaluation.thresholds import ThresholdSweep
from wsss.report import measures, ranking
from wsss.report.agreed import Agreed
from wsss.report.cards import Results
from wsss.report.differing import settings_beside_recipe
from wsss.report.gallery import GallerySettings, about, build_gallery, compared_with_themselves
from wsss.report.last_words import Step, Verdict
from wsss.report.other_labels import other_labels, rests_on
from wsss.report.page import Section
from wsss.report.painter import WITHOUT_TAGS
from wsss.report.plots import TABLES
from wsss.report.scores import SOURCE_COLUMNS, Source, cam_threshold, read_sources
from wsss.stores.cams import FORMAT, MAPS_BY, Cams, CamStore, put_cams
from wsss.stores.labels import (
    BY_HAND,
    PREDICTIONS_FORMAT,
    PSEUDO_FORMAT,
    PredictionStore,
    PseudoStore,
    RelabelledStore,
    put_labels,
)
from wsss.stores.shards import Shard, StoreMeta, shard_writer, write_store_index
from wsss.stores.snapshots import snapshot_file
from wsss.stores.whose import MADE_BY

SHAPE = (24, 32)
VERDICT_TABLES = {
    "train_tags.csv": "class,photos,tagged,kept,verdict\n<b>cow</b>,5,2,0.9,learnt\n",
    "agreement.csv": "class,photos,labelled,predicted,agreement,verdict,student\nbackground,5,1,1,0.8,agreed,fine\n",
}
STAGE_INPUTS = ("dataset", "cams", "pseudo", "relabelled", "predictions", "epochs")
IMG, SCRIPT = "<img src=x onerror=alert(1)>", "</script><script>alert(2)</script>"
CLASSES = ("background", SCRIPT, 'cow" onmouseover="alert(3)')
SETTINGS = GallerySettings(images=10, width=64, split="val", recipe="<b>mine")
SOURCES = (Source(IMG, "val", "3", "yes", "fixed", "no", "no", "yes", 0.5, None, 0.25, 1.0),)


@dataclass
class Page(HTMLParser):
    """What a browser would make of the page."""

    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def parse(out: Path) -> Page:
    page = Page()
    page.feed((out / "index.html").read_text(encoding="utf-8"))
    page.close()
    return page


def half(left: int, right: int, columns: int = 16) -> np.ndarray:
    """(24, 32) uint8: `left` in the first columns, `right` in the others."""
    label = np.full(SHAPE, right, np.uint8)
    label[:, :columns] = left
    return label


def write_store(folder: Path, kind: str, put: dict[str, Callable[[h5py.File], None]], **attributes: int | str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    meta = StoreMeta(kind, CLASSES, attributes)
    shards = [Shard("00000.h5", tuple(sorted(put)))] if put else []
    for shard in shards:
        with shard_writer(folder / shard.name, shard, meta) as file:
            for name in shard.ids:
                put[name](file)
    write_store_index(folder, meta, shards)


class Run:
    """A run of the pipeline on hand-made photos, on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records: list[Record] = []
        self.raw = self.crf = False
        self.cams: dict[str, Callable[[h5py.File], None]] = {}
        self.pseudo: dict[str, Callable[[h5py.File], None]] = {}
        self.relabelled: dict[str, Callable[[h5py.File], None]] = {}
        self.predictions: dict[str, Callable[[h5py.File], None]] = {}

    def add(
        self,
        name: str,
        split: str = "val",
        *,
        tags: tuple[int, ...] = (1,),
        mask: np.ndarray | None = None,
        prediction: np.ndarray | None = None,
        pseudo: np.ndarray | None = None,
        cam: bool = True,
        raw: bool = False,
        oste: np.ndarray | None = None,
        before: np.ndarray | None = None,
        fbe: np.ndarray | None = None,
        relabelled: np.ndarray | None = None,
        times: int = 1,
    ) -> None:
        number = len(self.records)
        root = self.folder / "data"
        root.mkdir(parents=True, exist_ok=True)
        own = SHAPE[0] * times, SHAPE[1] * times
        pixels = np.random.default_rng(number).integers(0, 256, (*own, 3), np.uint8)
        Image.fromarray(pixels).save(root / f"{number}.png")
        if mask is not None:
            save_mask_png(root / f"{number}-mask.png", mask.repeat(times, 0).repeat(times, 1))
        mask_file = None if mask is None else f"{number}-mask.png"
        digest = sha256_file(root / f"{number}.png")
        self.records.append(Record(name, split, f"{number}.png", mask_file, tags, *SHAPE, digest, *own))
        if cam:
            scores = np.random.default_rng(number).random((len(tags), 3, 4), np.float32)
            mirrored = scores[..., ::-1] if raw else None
            cams = Cams(scores, np.ones(len(tags), np.float32), np.asarray(tags, np.int64), SHAPE, mirrored)
            self.cams[name] = lambda file: put_cams(file, name, cams)
        sure = np.ones(SHAPE, np.float32)
        if prediction is not None:
            known = {"oste": oste, "multiscale": before}
            others = {version: label for version, label in known.items() if label is not None}
            self.predictions[name] = lambda file: put_labels(file, name, prediction, sure, **others)
        if pseudo is not None:
            begun = {} if fbe is None else {"fbe": fbe}
            self.pseudo[name] = lambda file: put_labels(file, name, pseudo, sure, **begun)
        if relabelled is not None:
            self.relabelled[name] = lambda file: put_labels(file, name, relabelled, sure)

    @property
    def index(self) -> Index:
        return Index(CLASSES, tuple(sorted(self.records, key=lambda record: record.id)))

    def write(self) -> Results:
        write_index(self.folder / "dataset", self.index)
        record_masks(self.folder / "masks.csv", self.folder / "data", self.index.records)
        write_store(self.folder / "cams", FORMAT, self.cams, raw=self.raw)
        write_store(self.folder / "pseudo", PSEUDO_FORMAT, self.pseudo)
        write_store(self.folder / "relabelled", PSEUDO_FORMAT, self.relabelled)
        write_store(self.folder / "predictions", PREDICTIONS_FORMAT, self.predictions, crf=self.crf)
        photos = Photos(self.folder / "data", 1.0, self.index.records)
        return Results(
            self.index,
            MaskedImages(photos, len(CLASSES)),
            CamStore(self.folder / "cams"),
            (PseudoStore(self.folder / "pseudo"), RelabelledStore(self.folder / "relabelled")),
            PredictionStore(self.folder / "predictions"),
        )


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Three ranked photos (b worst, c best), two without a mask, one of another split."""
    made = Run(tmp_path)
    truth = half(1, 0)
    made.add("c-good", mask=truth, prediction=truth, pseudo=half(1, 255))
    made.add("a-middle", mask=truth, prediction=half(1, 0, 20), pseudo=truth, tags=(1, 2))
    made.add(f"b-bad {IMG}", mask=truth, prediction=half(2, 0), pseudo=truth)
    made.add("z-unknown", prediction=truth)
    made.add("y-unknown", tags=(), cam=False, pseudo=truth)
    made.add("t-train", "train", mask=truth, pseudo=half(2, 0))
    return made


def test_worst_first_then_photos_without_mask(run: Run, tmp_path: Path) -> None:
    val, train = build_gallery(run.write(), SOURCES, SETTINGS, tmp_path / "out")
    assert [card.id for card in val.cards] == [f"b-bad {IMG}", "a-middle", "c-good", "y-unknown", "z-unknown"]
    # Nothing is known of z, which has no label that its prediction could be compared with.
    assert [card.rank for card in val.cards] == [1, 2, 3, 4, None]
    # By hand: background 1, class 1 none, class 2 none; then 12 of 16 and 16 of 20 columns; then all.
    assert [card.score for card in val.cards] == [pytest.approx(1 / 3), pytest.approx(0.775), 1.0, None, None]
    assert val.median == pytest.approx(0.775)
    assert (val.judged, train.judged) == ("prediction", "pseudo-label")
    assert train.cards[0].score == pytest.approx(1 / 3)


def test_photos_that_were_shrunk_are_judged_by_masks_of_their_own_size(tmp_path: Path) -> None:
    made, truth = Run(tmp_path), half(1, 0)
    made.add("a", mask=truth, prediction=half(1, 0, 20), pseudo=truth, oste=truth, times=3)
    made.add("b", mask=truth, prediction=half(2, 0), pseudo=truth, times=3)
    ((section),) = build_gallery(made.write(), SOURCES, SETTINGS, tmp_path / "out")
    assert [card.score for card in section.cards] == [pytest.approx(1 / 3), pytest.approx(0.775)]


def test_score_table_has_boundary_iou_and_marks_what_has_collapsed(run: Run, tmp_path: Path) -> None:
    build_gallery(run.write(), SOURCES, SETTINGS, tmp_path / "out")
    text = parse(tmp_path / "out").text
    assert "Boundary IoU" in text
    assert "25.00\u00a0%" in text
    assert "collapsed" in text


def test_page_shows_the_cards_in_this_order(run: Run, tmp_path: Path) -> None:
    build_gallery(run.write(), SOURCES, SETTINGS, tmp_path / "out")
    text = parse(tmp_path / "out").text
    names = [f"b-bad {IMG}", "a-middle", "c-good", "y-unknown", "z-unknown", "t-train"]
    places = [text.index(name) for name in names]
    assert places == sorted(places)


def test_the_page_begins_with_score_and_verdict_and_then_photos(run: Run, tmp_path: Path) -> None:
    student = Source("student", "val", "3", "no", "arg-max", "no", "no", "no", 0.625, None, None, 1.0)
    verdict = Verdict("usable in part", (f"Not learnt: {SCRIPT}.",), steps=(Step("Do this", "wsss <b>predict</b>"),))
    build_gallery(run.write(), (*SOURCES, student), SETTINGS, tmp_path / "out", verdict=verdict)
    page = parse(tmp_path / "out")
    first = [
        "Photos: 1 train, 5 val.",
        "Settings: from recipe <b>mine.",
        "62.50\u00a0%",
        "Verdict: usable in part",
        "5 photos, 5 shown",
        "Scores of the data set",
    ]
    places = [page.text.index(text) for text in first]
    assert places == sorted(places)
    assert page.text.index("b-bad") < page.text.index("Scores of the data set")
    assert f"Not learnt: {SCRIPT}." in page.text
    shown_at_once = [name for name, found in page.elements[: page.elements.index(("article", page.all("article")[0]))]]
    assert not {"table", "img"} & set(shown_at_once)
    assert [found for found in page.all("details") if "open" in found] == [{"open": None}]
    assert page.text.index("Do this: wsss <b>predict</b>") < page.text.index("5 photos, 5 shown")


def test_the_verdict_has_a_table_of_agreement(run: Run, tmp_path: Path) -> None:
    agreed = tuple(Agreed(f"{SCRIPT}{number}", number / 20, 2.5 if number else None) for number in range(14))
    build_gallery(
        run.write(), SOURCES, SETTINGS, tmp_path / "out", verdict=Verdict("usable in part", (), agreed=agreed)
    )
    text = parse(tmp_path / "out").text
    assert f"by class, the worst first: {SCRIPT}0 0.00, {SCRIPT}1 0.05, {SCRIPT}2 0.10, …" in text
    assert text.count("2.5 times") == 11
    assert "2 more, of better agreement: reports/agreement.csv" in text


def test_one_photo_is_no_photos() -> None:
    empty = Section("val", "", "", 1, 0, 0, 0, 0, 0, None, (), ())
    assert empty.describe() == "1 photo, and nothing has been made of it yet."
    assert replace(empty, photos=2).describe().startswith("2 photos, and")


def test_a_verdict_that_is_fine_stays_closed(run: Run, tmp_path: Path) -> None:
    build_gallery(run.write(), SOURCES, SETTINGS, tmp_path / "out", verdict=Verdict("usable as a first draft", ()))
    assert not [found for found in parse(tmp_path / "out").all("details") if "open" in found]


def test_many_classes_are_counted_on_top() -> None:
    names = ("background", *(f"c{number}" for number in range(29)))
    listed = ", ".join(names[1:26])
    assert about(Index(names, ()), "") == f"Photos: . Classes: {listed} and 4 more."
    assert about(Index(names[:26], ()), "") == f"Photos: . Classes: {listed}."
    assert about(Index(names[:2], ()), "quick") == "Photos: . Classes: c0. Settings: from recipe quick."


def test_scores_of_the_data_set_have_the_digits_of_their_table(run: Run, tmp_path: Path) -> None:
    """0.3555 is 35.55: rounded once more, it would be 35.5 of what may have been 35.554."""
    row = replace(SOURCES[0], source="student", miou=0.3555)
    build_gallery(run.write(), (row,), SETTINGS, tmp_path / "out")
    text = parse(tmp_path / "out").text
    assert text.count("35.55\u00a0%") == 2  # on top, and in the table
    assert "35.5\u00a0%" not in text


def test_settings_beside_the_recipe(run: Run, tmp_path: Path) -> None:
    params, text = tmp_path / "params.yaml", read_recipe("demo")
    params.write_text(text.replace("method: fixed ", "method: gmm ").replace("root: data/demo", "root: elsewhere"))
    params.write_text(params.read_text().replace("  restart: false", "  keep: [1, 2]"))
    differing = settings_beside_recipe(params, "demo")
    assert differing == [
        ("correct.method", "gmm", "fixed"),
        ("distill.keep", "[1, 2]", "default"),
        ("distill.restart", "default", "False"),
    ]
    build_gallery(run.write(), (), SETTINGS, tmp_path / "out", differing=differing)
    assert "3 settings differ from the recipe" in parse(tmp_path / "out").text
    assert "correct.method: gmm (recipe: fixed)" in parse(tmp_path / "out").text
    assert settings_beside_recipe(params, "a name of our own") == []
    params.write_text(text.replace("recipe: demo", "recipe: quick"))
    assert settings_beside_recipe(params, "demo") == []
    build_gallery(run.write(), (), SETTINGS, tmp_path / "out")
    assert "from the recipe" not in parse(tmp_path / "out").text


def test_links_within_the_page_lead_somewhere(run: Run, tmp_path: Path) -> None:
    build_gallery(run.write(), SOURCES, SETTINGS, tmp_path / "out")
    page = parse(tmp_path / "out")
    places = {found["id"] for _, found in page.elements if "id" in found}
    links = [str(found["href"])[1:] for found in page.all("a") if str(found["href"]).startswith("#")]
    assert links[0] == "split-1"  # the skip link
    assert set(links) <= places
    assert [found["type"] for found in page.all("input")] == ["search"]


def test_what_sticks_hides_no_heading(run: Run, tmp_path: Path) -> None:
    """A variable that holds a colour must not be given a height, too."""
    build_gallery(run.write(), SOURCES, SETTINGS, tmp_path / "out")
    html = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert re.search(r"scroll-margin-top: calc\(var\(--sticky", html)
    given = re.findall(r'setProperty\("(--[a-z]+)"', html)
    assert "--sticky" in given
    assert not [name for name in given if f"{name}: #" in html]


def test_selection_is_stated(run: Run, tmp_path: Path) -> None:
    settings = GallerySettings(images=2, width=64, split="val")
    val, _ = build_gallery(run.write(), SOURCES, settings, tmp_path / "out")
    assert [card.rank for card in val.cards] == [1, 3]
    assert "the 1 worst, then 1 spread evenly over the other 2" in val.describe()
    assert val.describe() in parse(tmp_path / "out").text


def test_legend_of_a_photo_has_its_classes_only(run: Run, tmp_path: Path) -> None:
    val, _ = build_gallery(run.write(), SOURCES, SETTINGS, tmp_path / "out")
    bad, middle, good = val.cards[:3]
    assert [(swatch.number, swatch.iou) for swatch in bad.swatches] == [(0, 1.0), (1, 0.0), (2, 0.0)]
    assert [swatch.number for swatch in good.swatches] == [0, 1]
    assert good.ignored
    assert not bad.ignored
    assert middle.swatches[2].iou is None  # tagged, but neither masked nor predicted
    assert good.swatches[1].colour == "#0072b2"


def test_pictures_name_their_classes_and_what_stands_for_what(run: Run, tmp_path: Path) -> None:
    val, _ = build_gallery(run.write(), SOURCES, SETTINGS, tmp_path / "out")
    bad, good = val.cards[0], val.cards[2]
    assert [panel.views[0].classes for panel in bad.panels] == [(), (), (1,), (2,), (1,)]
    differs = f"differs 50\u00a0%, most: {CLASSES[2]} instead of {CLASSES[1]}"
    assert (
        bad.panels[3].note == f"{WITHOUT_TAGS} · IoU 33.3\u00a0% · confidence 100.0\u00a0%, not calibrated · {differs}"
    )
    assert good.panels[3].note.endswith("differs 0\u00a0%")
    page = parse(tmp_path / "out")
    assert page.text.count("The predictions are the network's alone, made and scored without the photos' tags.") == 1
    listed = {str(found["aria-label"]) for found in page.all("ul") if "aria-label" in found}
    assert {f"Classes of {name}" for name in ("Pseudo-label", "Prediction", "Ground truth")} <= listed
    links = [found for found in page.all("a") if found.get("data-title") == "Prediction"]
    assert (links[0]["data-classes"], links[0]["data-note"]) == ("2", bad.panels[3].note)


def test_a_difference_of_a_few_pixels_names_no_classes(run: Run, tmp_path: Path) -> None:
    label = half(1, 0)
    label[0, 0] = 2
    run.add("nearly", prediction=label, pseudo=half(1, 0))
    val, _ = build_gallery(run.write(), SOURCES, SETTINGS, tmp_path / "out")
    (note,) = (card.panels[3].note for card in val.cards if card.id == "nearly")
    assert note.endswith("differs 0\u00a0%")


def test_several_tags_give_a_cam_each(run: Run, tmp_path: Path) -> None:
    val, _ = build_gallery(run.write(), SOURCES, SETTINGS, tmp_path / "out")
    cams = {card.id: [view.name for view in card.panels[1].views] for card in val.cards}
    assert cams["a-middle"] == ["all", *CLASSES[1:]]
    assert cams["c-good"] == [CLASSES[1]]
    assert cams["y-unknown"] == []


def test_what_was_there_before_enhancement_and_distillation_is_a_view_of_its_own(tmp_path: Path) -> None:
    made = Run(tmp_path)
    made.raw = True
    truth = half(1, 0)
    labels = {"pseudo": truth, "fbe": half(1, 255), "relabelled": half(1, 2)}
    made.add("a", mask=truth, prediction=truth, oste=half(2, 0), raw=True, **labels)
    val, *_ = build_gallery(made.write(), SOURCES, SETTINGS, tmp_path / "out")
    _, cam, pseudo, prediction, _ = val.cards[0].panels
    assert [view.name for view in cam.views] == [CLASSES[1], "raw"]
    assert [view.name for view in pseudo.views] == ["pseudo-label", "FBE", "relabelled by the first student"]
    assert [view.name for view in prediction.views] == ["student", "OSTE"]  # there was no CRF
    for panel in (cam, pseudo, prediction):
        files = {(tmp_path / "out" / view.file).read_bytes() for view in panel.views}
        assert len(files) == len(panel.views)


def test_the_student_before_the_crf_is_a_view_with_its_iou(tmp_path: Path) -> None:
    made, truth = Run(tmp_path), half(1, 0)
    made.crf = True
    made.add("a", mask=truth, prediction=truth, before=half(1, 0, 20), oste=half(2, 0), pseudo=truth)
    made.add("b", prediction=truth, before=truth)
    made.add("t", "train", mask=truth, pseudo=truth)
    results = replace(made.write(), cam_threshold=50)
    sections = build_gallery(results, (), SETTINGS, tmp_path / "out", photos=tmp_path / "photos.csv")
    a, b, t = (card.panels[3] for section in sections for card in section.cards)
    assert [view.name for view in a.views] == ["student", "before the CRF", "OSTE"]
    assert len({(tmp_path / "out" / view.file).read_bytes() for view in a.views}) == 3
    assert "IoU 100.0\u00a0% (77.5\u00a0% before the CRF) · confidence" in a.note
    assert "before the CRF" not in b.note + t.note
    rows = {row["id"]: row for row in photo_rows(tmp_path)}
    assert [rows[name]["iou_before_crf"] for name in "abt"] == ["0.7750", "", ""]
    assert [bool(rows[name]["cam_iou"]) for name in "abt"] == [True, False, True]


def test_scores_of_earlier_steps_of_a_photo_are_those_that_evaluate_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {"WSSS_WORKERS": "0", "WSSS_DEVICE": "cpu", "WSSS_SCRATCH": str(tmp_path / "scratch")}.items():
        monkeypatch.setenv(name, value)
    project = Project(times=3)
    assert run_stage().exit_code == 0
    labels = PseudoStore(Path("pseudo")), RelabelledStore(Path("relabelled"))
    stores = Stores(CamStore(Path("cams")), labels, PredictionStore(Path("predictions")))
    masked, fixed = MaskedImages(project.photos, 4), cam_threshold(read_sources(Path("reports/sources.csv")))
    assert fixed == 30
    results = Results(project.index, masked, *(stores.cams, labels, stores.predictions), cam_threshold=fixed)
    for record in project.index.records:
        found, mask = measures.measure(results, stores.predictions, record), masked.mask(record)
        if mask is None:
            assert (found.before_crf, found.cam) == (None, None)
            continue
        counts = count_photo(record, mask, 4, stores, fixed)
        assert found.cam == pytest.approx(scores(ThresholdSweep.of(counts["cam"].pairs).at(fixed)).miou)
        before = scores(counts["student ms+flip"].pairs).miou if record.split == "val" else None
        assert found.before_crf == pytest.approx(before)


def test_columns_without_any_picture_are_left_out(run: Run, tmp_path: Path) -> None:
    val, train = build_gallery(run.write(), SOURCES, SETTINGS, tmp_path / "out")
    assert val.columns == ("Photo", "CAM", "Pseudo-label", "Prediction", "Ground truth")
    assert train.columns == ("Photo", "CAM", "Pseudo-label", "Ground truth")


def test_names_appear_as_text(run: Run, tmp_path: Path) -> None:
    build_gallery(run.write(), SOURCES, SETTINGS, tmp_path / "out")
    page = parse(tmp_path / "out")
    assert len(page.all("script")) == 1
    assert not [name for _, found in page.elements for name in found if name.startswith("on")]
    assert all(image.get("src", "").startswith("images/") for image in page.all("img") if "src" in image)
    for name in (IMG, SCRIPT, CLASSES[2]):
        assert name in page.text


def test_only_the_page_s_own_script_may_run(run: Run, tmp_path: Path) -> None:
    build_gallery(run.write(), SOURCES, SETTINGS, tmp_path / "out")
    html = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    script = re.search(r"<script>(.*)</script>", html, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    policy = parse(tmp_path / "out").all("meta")[1]["content"]
    assert policy is not None
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_nothing_comes_from_the_network(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build_gallery(run.write(), SOURCES, SETTINGS, out)
    page = parse(out)
    links = [found[key] for _, found in page.elements for key in ("src", "href", "data-file") if found.get(key)]
    files = {link for link in links if link and not link.startswith("#")}
    assert files
    assert all((out / file).is_file() and ".." not in file for file in files)
    html = (out / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(", html)
    on_disk = {path.relative_to(out).as_posix() for path in out.rglob("*.webp")}
    assert files == on_disk


def test_pictures_are_lazy_described_and_sized(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build_gallery(run.write(), SOURCES, SETTINGS, out)
    for image in [image for image in parse(out).all("img") if "src" in image]:
        assert image["loading"] == "lazy"
        assert image["alt"]
        with Image.open(out / str(image["src"])) as picture:
            assert (str(picture.width), str(picture.height)) == (image["width"], image["height"])


def test_same_inputs_same_bytes(run: Run, tmp_path: Path) -> None:
    results = run.write()
    for name in ("one", "two"):
        build_gallery(results, SOURCES, SETTINGS, tmp_path / name)
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / n).rglob("*.*")} for n in ("one", "two"))
    assert one == two


def test_no_mask_at_all(tmp_path: Path) -> None:
    made = Run(tmp_path)
    for name in "dbca":
        made.add(name, prediction=half(1, 0))
    (val,) = build_gallery(made.write(), (), GallerySettings(images=2, width=64, split="val"), tmp_path / "out")
    assert [card.id for card in val.cards] == ["a", "c"]
    assert (val.ranked, val.median) == (0, None)
    assert "nothing was scored" in parse(tmp_path / "out").text


def test_without_masks_ranked_by_disagreement(tmp_path: Path) -> None:
    made = Run(tmp_path)
    made.add("a-agrees", prediction=half(1, 0), pseudo=half(1, 255))
    made.add("b-half", prediction=half(1, 0), pseudo=half(2, 0))
    made.add("c-most", prediction=half(1, 0), pseudo=half(0, 1))
    made.add("d-with OSTE", prediction=half(1, 0), oste=half(1, 0, 24))
    made.add("e-nothing to compare", prediction=half(1, 0), pseudo=half(255, 255))
    (val,) = build_gallery(made.write(), (), SETTINGS, tmp_path / "out")
    found = {card.id: (card.rank, card.disagreement) for card in val.cards}
    assert list(found.items()) == [
        ("c-most", (1, 1.0)),
        ("b-half", (2, 0.5)),
        ("d-with OSTE", (3, 0.25)),
        ("a-agrees", (4, 0.0)),
        ("e-nothing to compare", (5, None)),
    ]
    assert (val.measure, val.ranked, val.median) == ("disagreement", 4, 0.375)
    page = parse(tmp_path / "out")
    assert val.describe() in page.text
    assert "ranked by disagreement (the share of labelled pixels in which prediction and pseudo-label" in page.text
    assert [option["value"] for option in page.all("option")][:2] == ["rank 1", "disagreement -1"]


def test_training_photos_are_ranked_by_what_relabelling_overruled(tmp_path: Path) -> None:
    made = Run(tmp_path)
    made.add("v", mask=half(1, 0), prediction=half(1, 0), pseudo=half(1, 255))
    made.add("a-same", "train", pseudo=half(1, 0), relabelled=half(1, 0))
    made.add("b-half", "train", pseudo=half(1, 0), relabelled=half(1, 1))
    made.add("c-filled", "train", pseudo=half(1, 255), relabelled=half(1, 0))
    _, train = build_gallery(made.write(), (), SETTINGS, tmp_path / "out")
    found = [(card.id, card.rank, card.disagreement) for card in train.cards]
    assert found == [("b-half", 1, 0.5), ("c-filled", 2, 0.0), ("a-same", 3, 0.0)]
    assert train.measure == "disagreement"
    assert "in which pseudo-label and relabelled label differ), most first" in train.describe()
    half_filled, filled = train.cards[0].panels[2].note, train.cards[1].panels[2].note
    differs = f"differs 50\u00a0%, most: background instead of {CLASSES[1]}"
    assert (
        half_filled
        == f"100\u00a0% labelled · 100\u00a0% after relabelling · confidence 100.0\u00a0%, not calibrated · {differs}"
    )
    assert filled.startswith("50\u00a0% labelled · 100\u00a0% after relabelling")


def test_without_a_label_that_was_overruled_the_least_labelled_come_first(tmp_path: Path) -> None:
    made = Run(tmp_path)
    made.add("v", mask=half(1, 0), prediction=half(1, 0))
    made.add("a-whole", "train", pseudo=half(1, 0))
    made.add("b-quarter", "train", pseudo=half(1, 255, 8), relabelled=half(1, 0, 8))
    made.add("c-half", "train", pseudo=half(1, 255))
    _, train = build_gallery(made.write(), (), SETTINGS, tmp_path / "out")
    assert [(card.id, card.rank) for card in train.cards] == [("b-quarter", 1), ("c-half", 2), ("a-whole", 3)]
    assert (train.measure, train.median, train.ends[0]) == ("coverage", 0.5, "least labelled")
    page = parse(tmp_path / "out")
    assert "ranked by coverage (the share of pixels that have a pseudo-label), least first" in page.text
    assert re.search(r"labelled\s+25.0", page.text)


def test_a_speck_that_nobody_expects_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "TRACE", 0.005)  # 3 of the 768 pixels are less
    made, truth, speck, more = Run(tmp_path), half(1, 0), half(1, 0), half(1, 0)
    speck[0, :3] = more[0, :4] = 2
    made.add("a-more", mask=truth, prediction=more)
    made.add("b-speck", mask=truth, prediction=speck)
    made.add("c-masked", mask=speck, prediction=speck)
    made.add("d-tagged", mask=truth, prediction=speck, tags=(1, 2))
    (val,) = build_gallery(made.write(), (), SETTINGS, tmp_path / "out", photos=tmp_path / "photos.csv")
    found = {card.id: [swatch.speck for swatch in card.swatches] for card in val.cards}
    assert found == {"a-more": [0, 0, 0], "b-speck": [0, 0, 3], "c-masked": [0, 0, 0], "d-tagged": [0, 0, 0]}
    assert parse(tmp_path / "out").text.count("a speck, 3 pixels") == 1
    assert {row["id"]: row["specks"] for row in photo_rows(tmp_path) if row["specks"]} == {"b-speck": CLASSES[2]}


@pytest.mark.parametrize("masked", [False, True])
def test_training_photos_of_which_a_tag_got_no_pixel_come_first(tmp_path: Path, masked: bool) -> None:
    """Also after the few that have masks: what is known of the others still ranks them."""
    made = Run(tmp_path)
    made.add("v", mask=half(1, 0), prediction=half(1, 0), pseudo=half(1, 0))
    made.add("a-quarter", "train", pseudo=half(1, 255, 8), relabelled=half(1, 0, 8))
    made.add("b-lost", "train", tags=(1, 2), pseudo=half(1, 255), relabelled=half(1, 2))
    made.add("c-lost twice", "train", tags=(1, 2), pseudo=half(1, 255, 8), relabelled=half(1, 0, 8))
    made.add("d-whole", "train", pseudo=half(1, 0), relabelled=half(1, 0), mask=half(1, 0) if masked else None)
    _, train = build_gallery(made.write(), (), SETTINGS, tmp_path / "out", photos=tmp_path / "photos.csv")
    expected = ["c-lost twice", "b-lost", "a-quarter"]
    expected = ["d-whole", *expected] if masked else [*expected, "d-whole"]
    assert [(card.id, card.rank) for card in train.cards] == list(zip(expected, range(1, 5), strict=True))
    rows = {row["id"]: row for row in photo_rows(tmp_path)}
    found = [(rows[name]["label_missing"], rows[name]["relabelled_missing"]) for name in sorted(rows)[:4]]
    assert found == [("", ""), (CLASSES[2], ""), (CLASSES[2], CLASSES[2]), ("", "")]
    assert [rows[name]["ranked_by"] for name in sorted(rows)[:3]] == ["coverage", "missing", "missing"]
    text = train.describe()
    assert ("3 without a mask follow: tags under 0.1 % first (2 photos), then by coverage, least" in text) is masked
    assert ("ranked by tags under 0.1 % first (2 photos), then by coverage (" in text) is not masked
    page = parse(tmp_path / "out")
    assert page.text.count(f"under 0.1 % of the pseudo-label: {CLASSES[2]}") == 2
    assert page.text.count(f"under 0.1 % of the relabelled label: {CLASSES[2]}") == 1
    assert ["data-missing" in card for card in page.all("article")[1:]] == [
        name in expected[masked:][:2] for name in expected
    ]
    assert [found["data-only"] for found in page.all("button") if "data-only" in found] == ["missing"]


def test_a_tagged_class_of_a_pixel_is_in_the_legend_and_no_mark_denies_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ranking.TRACE == 0.001  # the page writes this limit in per cent
    label = np.ones(SHAPE, np.uint8)
    label[0, 0] = 2
    monkeypatch.setattr(measures, "TRACE", 1.5 / label.size)
    made = Run(tmp_path)
    made.add("v", pseudo=label)
    made.add("a", "train", tags=(1, 2), pseudo=label)
    _, train = build_gallery(made.write(), (), SETTINGS, tmp_path / "out")
    (card,) = train.cards
    assert {1, 2} <= {swatch.number for swatch in card.swatches}
    page = parse(tmp_path / "out")
    assert f"under 0.1 % of the pseudo-label: {CLASSES[2]}" in page.text
    assert "no pixel" not in page.text
    assert "without a pixel" not in page.text


def write_corrected(folder: Path, labels: dict[str, np.ndarray], by_hand: str, **marks: int | str) -> str:
    """A store as `wsss labels import` writes it; its checksum."""

    def put(name: str) -> Callable[[h5py.File], None]:
        def write(file: h5py.File) -> None:
            put_labels(file, name, labels[name], np.ones(SHAPE, np.float32))
            if name in by_hand.split():
                file[encode_id(name)].attrs[BY_HAND] = True

        return write

    write_store(folder, PSEUDO_FORMAT, {name: put(name) for name in labels}, **({BY_HAND: 1} | marks))
    return hash_input(folder)


def test_labels_that_the_student_learned_from_stand_in_for_pseudo_labels(tmp_path: Path) -> None:
    made = Run(tmp_path)
    lacking, painted = half(1, 255), half(1, 2)
    for name in ("a", "b", "c"):
        made.add(name, "train", tags=(1, 2), pseudo=lacking)
    made.add("v", pseudo=lacking)
    results = made.write()
    digest = write_corrected(tmp_path / "corrected", {"a": painted, "b": lacking, "c": half(2, 1)}, "a")
    others, words = other_labels(tmp_path / "corrected", digest)
    out, results = tmp_path / "out", replace(results, others=others)
    _, train = build_gallery(results, (), SETTINGS, out, photos=tmp_path / "photos.csv", learned=words)
    assert [card.id for card in train.cards] == ["b", "a", "c"]
    b, a, c = train.cards
    assert [card.by_hand for card in train.cards] == [False, True, False]
    assert [card.missing for card in train.cards] == [(("label learned from", (CLASSES[2],)),), (), ()]
    views = [[view.name for view in card.panels[2].views] for card in (a, b, c)]
    shown = ["pseudo-label"]
    assert views == [["corrected by hand", *shown], shown, ["label learned from", *shown]]
    assert [card.panels[2].caption for card in (a, b, c)] == ["Corrected by hand", "", ""]
    assert (a.coverage, b.coverage) == (1.0, 0.5)
    page = parse(out)
    assert ["data-hand" in card for card in page.all("article")] == [False, False, True, False]
    assert [button for button in page.all("button") if button.get("data-only") == "hand"]
    assert "learned from the labels in" in page.text
    assert "corrected (3 photos, 1 of them corrected by hand)" in page.text
    assert {row["id"]: row["label_missing"] for row in photo_rows(tmp_path)}["a"] == ""


def test_labels_of_another_method_are_told_on_the_page_and_in_the_verdict(tmp_path: Path) -> None:
    by_otsu: dict[str, int | str] = {FROM_LABELS: 2, MADE_BY: "otsu"}
    labels = dict.fromkeys("abc", half(1, 2))
    others, words = other_labels(tmp_path / "mixed", write_corrected(tmp_path / "mixed", labels, "a", **by_otsu))
    assert "mixed (3 photos, 1 of them corrected by hand, 2 of them by otsu). They stand" in words
    write_store(tmp_path / "relabelled", PSEUDO_FORMAT, {}, **{BY_HAND: 1})
    made = RelabelledStore(tmp_path / "relabelled")
    assert rests_on(made, others) == "labels of 1 photo corrected by hand and of 2 photos made by otsu"
    write_store(tmp_path / "all", PSEUDO_FORMAT, {}, **by_otsu)
    write_store(tmp_path / "none", PSEUDO_FORMAT, {})
    made = RelabelledStore(tmp_path / "none")
    assert rests_on(made, PseudoStore(tmp_path / "all")) == "labels of 2 photos made by otsu"
    assert rests_on(made, PseudoStore(tmp_path / "none")) == rests_on(made, None) == ""


def test_the_method_whose_maps_became_the_labels_is_told_on_the_page(tmp_path: Path) -> None:
    labels, seam = dict.fromkeys("abc", half(1, 2)), {MAPS_BY: "seam"}
    write_store(tmp_path / "maps", PSEUDO_FORMAT, {}, **seam)
    _, words = other_labels(tmp_path / "maps", hash_input(tmp_path / "maps"))
    assert "maps (0 photos, made of CAMs by seam). They stand" in words
    _, words = other_labels(tmp_path / "mixed", write_corrected(tmp_path / "mixed", labels, "a", **seam))
    assert "mixed (3 photos, 1 of them corrected by hand, the others made of CAMs by seam). They stand" in words


def test_where_the_student_differs_from_a_mask_of_a_person_it_is_said_so(tmp_path: Path) -> None:
    made = Run(tmp_path)
    for name in "ab":
        made.add(name, prediction=half(1, 2), pseudo=half(1, 2))
        made.add(f"{name}-train", "train", pseudo=half(1, 2), relabelled=half(1, 1))
    results = made.write()
    labels = {name: half(1, 0) for name in ("a", "a-train")}
    digest = write_corrected(tmp_path / "corrected", labels, "a a-train")
    results = replace(results, others=other_labels(tmp_path / "corrected", digest)[0])
    sections = build_gallery(results, (), SETTINGS, tmp_path / "out")
    cards = {card.id: card for section in sections for card in section.cards}
    assert "the student differs 50\xa0% from your mask, most: " in cards["a"].panels[3].note
    assert "the first student differs 50\xa0% from your mask" in cards["a-train"].panels[2].note
    assert "your mask" not in cards["b"].panels[3].note + cards["b-train"].panels[2].note
    page = parse(tmp_path / "out")
    assert page.text.count("Corrected by hand") == 2


def test_a_score_of_corrections_against_masks_of_the_same_hand_is_told(tmp_path: Path) -> None:
    made = Run(tmp_path)
    made.add("a", "train", pseudo=half(1, 2), mask=half(1, 0))
    made.add("b", "train", pseudo=half(1, 2), mask=half(1, 0))
    made.add("v", pseudo=half(1, 2))
    results = made.write()
    digest = write_corrected(tmp_path / "corrected", {"a": half(1, 0)}, "a")
    results = replace(results, others=other_labels(tmp_path / "corrected", digest)[0])
    row = Source("imported labels", "train", "2", "yes", "imported", "", "", "no", 1.0, None, None, 1.0)
    build_gallery(results, (row,), SETTINGS, tmp_path / "out")
    told = "imported labels: of 1 photo these labels were corrected by hand; where the masks are of the same hand"
    assert told in " ".join(parse(tmp_path / "out").text.split())
    assert not compared_with_themselves(results, SOURCES)


def test_what_a_person_has_corrected_is_shown_wherever_it_ranks(tmp_path: Path) -> None:
    made = Run(tmp_path)
    for number in range(6):
        made.add(f"{number}", "train", pseudo=half(1, 255, number + 1))
    results = made.write()
    digest = write_corrected(tmp_path / "corrected", {"4": half(1, 0), "0": half(1, 255)}, "0")
    results = replace(results, others=other_labels(tmp_path / "corrected", digest)[0])
    section = build_gallery(results, (), GallerySettings(images=2, width=64, split="train"), tmp_path / "out")[-1]
    assert [(card.id, card.rank) for card in section.cards] == [("1", 1), ("0", 5), ("4", 6)]
    assert section.describe().endswith(" Photos corrected by hand are shown in any case: 1 more.")


def test_labels_that_are_not_those_that_were_learned_from_are_not_shown(tmp_path: Path) -> None:
    folder = tmp_path / "corrected"
    digest = write_corrected(folder, {"a": half(1, 2)}, "a")
    assert other_labels(folder, "") == (None, "")
    gone = (
        "The student learned from other labels than these pseudo-labels. They are not {} any more, and not shown here."
    )
    assert other_labels(None, digest) == (None, gone.format("there"))
    write_corrected(folder, {"a": half(2, 1)}, "")
    assert other_labels(folder, digest) == (None, gone.format(f"in {folder}"))
    assert other_labels(tmp_path / "none", digest) == (None, gone.format(f"in {tmp_path / 'none'}"))


def test_the_worst_of_many_photos_without_a_mask_are_shown_too(tmp_path: Path) -> None:
    made = Run(tmp_path)
    made.add("v", mask=half(1, 0), prediction=half(1, 0))
    made.add("masked", "train", mask=half(1, 0), pseudo=half(1, 0))
    for columns in range(1, 11):
        made.add(f"{columns:02}", "train", pseudo=half(1, 255, columns))
    settings = GallerySettings(images=5, width=64, split="val")
    _, train = build_gallery(made.write(), (), settings, tmp_path / "out")
    assert [(card.id, card.rank) for card in train.cards] == [
        ("masked", 1),
        ("01", 2),
        ("02", 3),
        ("03", 4),
        ("10", 11),
    ]
    assert "4 of 10 without a mask follow: by coverage, least first" in train.describe()


def test_where_nothing_can_differ_nothing_is_said_to(tmp_path: Path) -> None:
    """Relabelling that only fills contradicts no label: a disagreement of 0 would look as if all were well."""
    made = Run(tmp_path)
    made.add("v", mask=half(1, 0), prediction=half(1, 0))
    made.add("a", "train", pseudo=half(1, 255), relabelled=half(1, 0))
    _, train = build_gallery(made.write(), (), SETTINGS, tmp_path / "out", photos=tmp_path / "photos.csv")
    assert train.cards[0].disagreement is None
    assert "differs" not in train.cards[0].panels[2].note
    _, row = photo_rows(tmp_path)
    assert (row["disagreement"], row["coverage"], row["relabelled_coverage"]) == ("", "0.5000", "1.0000")


def test_a_large_class_that_the_photo_is_not_tagged_with_is_named(tmp_path: Path) -> None:
    made, small = Run(tmp_path), half(1, 0)
    small[0, :7] = 2  # 7 of 768 pixels are less than 1 %
    made.add("a-small", prediction=small)
    made.add("b-large", prediction=half(2, 0, 8))
    made.add("c-tagged", prediction=half(2, 0, 8), tags=(2,))
    made.add("d-nobody tagged it", prediction=half(2, 0, 8), tags=())
    build_gallery(made.write(), (), SETTINGS, tmp_path / "out", photos=tmp_path / "photos.csv")
    assert {row["id"]: row["untagged"] for row in photo_rows(tmp_path) if row["untagged"]} == {
        "b-large": f"{CLASSES[2]} 25.0%"
    }
    page = parse(tmp_path / "out")
    assert page.text.count(f"untagged: {CLASSES[2]} 25\u00a0%") == 1
    assert ["data-untagged" in card for card in page.all("article")] == [False, True, False, False]
    assert "untagged" in [found.get("data-only") for found in page.all("button")]


def test_table_of_classes_opens_their_photos(run: Run, tmp_path: Path) -> None:
    tables = tmp_path / "reports"
    tables.mkdir()
    for name in TABLES:
        (tables / name).write_text("epoch,loss\n")
    rows = [("background", 0.6, 0.7, 0.8), (SCRIPT, 0.3, 0.4, 0.1), (CLASSES[2], 0.2, 0.1, "")]
    (tables / "per_class.csv").write_text(csv_text(("class", "cam", "pseudo-label", "student"), rows))
    pixels = [("background", "background", 6), ("background", SCRIPT, 4), (SCRIPT, SCRIPT, 2), (CLASSES[2], SCRIPT, 1)]
    rows = [(*row, 0) for row in pixels]
    (tables / "confusion.csv").write_text(csv_text(("actual", "predicted", "pixels", "share"), rows))
    verdict = Verdict("usable in part", (), weak=(SCRIPT,))
    sections = build_gallery(run.write(), SOURCES, SETTINGS, tmp_path / "out", tables, verdict=verdict)
    page = parse(tmp_path / "out")
    openers = [found for found in page.all("button") if "data-of" in found]
    cells = [(found["data-of"], found["data-by"]) for found in openers]
    one = [("1", "iou 1"), ("1", ""), ("1", "label 1"), ("1", "iou 1")]
    other = [("2", "iou 1"), ("2", ""), ("2", "label 1")]
    weak = ("1", "iou 1")  # beside the verdict
    assert cells == [weak, *one, *((number.replace("1", "0", 1), by) for number, by in one), *other]
    cards = [card for section in sections for card in section.cards]
    with_class = sum(any(swatch.number == 1 for swatch in card.swatches) for card in cards)
    assert {found["title"] for found in openers if found["data-of"] == "1"} == {f"show {with_class} photos"}
    assert [found.get("class") for found in page.all("tr")].count("doubtful") == 1
    assert (
        "Lost at the student: IoU 10.0\u00a0%, after 40.0\u00a0% at the pseudo-label. The student paints" in page.text
    )
    assert "3.5 times its area and finds 100\u00a0% of it; 80\u00a0% of its false pixels are background." in page.text
    known = {option["value"] for option in page.all("option")}
    assert {by for _, by in cells if by} <= known
    undecided = replace(verdict, by_masks=False, warning="Too few.")
    build_gallery(run.write(), SOURCES, SETTINGS, tmp_path / "few", tables, verdict=undecided)
    few = parse(tmp_path / "few")
    assert "doubtful" not in [found.get("class") for found in few.all("tr")]
    assert "Lost at" not in few.text
    assert {found["data-number"] for found in page.all("button") if "data-number" in found} >= {"0", "1", "2"}
    assert "#classes" in [found["href"] for found in page.all("a")]


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_a_doubtful_class_opens_as_many_photos_as_it_says(run: Run, tmp_path: Path) -> None:
    """The strips of epochs, which are always there, are none of them."""
    verdict, results, epochs = Verdict("usable in part", (), weak=(CLASSES[2],)), run.write(), tmp_path / "epochs"
    save_mask_png(snapshot_file(epochs, 1, next(one for one in run.records if one.split == "train")), half(1, 0))
    build_gallery(results, SOURCES, SETTINGS, tmp_path / "out", verdict=verdict, epochs=epochs)
    script = """
      const button = all("#weak button")[0], said = button.title, heading = all("dialog h2")[0];
      button.click();
      const shown = all(".cards article:not([hidden])"), left = all("h2 > .kept").map((each) => each.textContent);
      shown[0].querySelector("figure a").click();
      const places = [heading.querySelector("small").textContent];
      all("dialog")[0].close();
      all("#epochs figure a")[0].click();
      places.push(heading.querySelector("small").textContent);
      return [said, shown.length, left, places];
    """
    said, shown, left, places = acted(tmp_path / "out/index.html", script)
    assert (said, places) == (f"show {shown} photos", [f"1 of {shown}", "1 of 1"])
    assert left == [f"2 of these 5 with {CLASSES[2]}", f"1 of these 1 with {CLASSES[2]}"]


def photo_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "photos.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_table_has_every_photo_the_worst_of_the_first_split_on_top(run: Run, tmp_path: Path) -> None:
    run.add("=formula", "train", tags=(1, 2), pseudo=half(1, 255, 8))
    settings = GallerySettings(images=2, width=64, split="val")
    sections = build_gallery(run.write(), SOURCES, settings, tmp_path / "out", photos=tmp_path / "photos.csv")
    rows = photo_rows(tmp_path)
    val = [f"b-bad {IMG}", "a-middle", "c-good", "y-unknown", "z-unknown"]
    assert [row["id"] for row in rows] == [*val, "t-train", "'=formula"]
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "", "1", "2"]
    for section in sections:
        ranks = {card.id: str(card.rank or "") for card in section.cards}
        assert ranks.items() <= {row["id"].removeprefix("'"): row["rank"] for row in rows}.items()
    assert [row["ranked_by"] for row in rows] == ["iou", "iou", "iou", "coverage", "", "iou", "missing"]
    bad, middle, good, other = rows[0], rows[1], rows[2], rows[3]
    assert (bad["iou"], bad["disagreement"], bad["coverage"]) == ("0.3333", "0.5000", "1.0000")
    assert (bad["judged"], bad["confidence"], bad["missing"]) == ("prediction", "1.0000", SCRIPT)
    assert (bad["largest"], bad["largest_fraction"]) == ("background", "0.5000")
    assert (middle["tags"], middle["missing"]) == ("|".join(CLASSES[1:]), CLASSES[2])
    assert (middle["largest"], middle["largest_fraction"]) == (SCRIPT, "0.6250")
    assert (good["coverage"], good["missing"]) == ("0.5000", "")
    assert [other[name] for name in ("iou", "coverage", "judged", "confidence", "largest")] == [
        "",
        "1.0000",
        "",
        "",
        "",
    ]
    formula = rows[-1]
    assert (formula["split"], formula["judged"], formula["confidence"]) == ("train", "pseudo-label", "1.0000")
    assert (formula["coverage"], formula["largest_fraction"], formula["missing"]) == ("0.2500", "0.2500", CLASSES[2])
    assert (formula["label_missing"], formula["relabelled_missing"]) == (CLASSES[2], "")
    # By hand: half of the good photo's label is empty, a miss of the background; class 2 is predicted in the bad one.
    assert [row["label_iou"] for row in (bad, middle, good, other)] == ["1.0000", "1.0000", "0.5000", ""]
    assert (bad["untagged"], middle["untagged"]) == (f"{CLASSES[2]} 50.0%", "")


def test_confidence_is_that_of_labelled_pixels(tmp_path: Path) -> None:
    made = Run(tmp_path)
    made.add("a", cam=False)
    sure = np.where(half(1, 255) == 255, 0.0, 0.6)
    made.pseudo["a"] = lambda file: put_labels(file, "a", half(1, 255), sure)
    made.add("b-nothing labelled", pseudo=half(255, 255))
    build_gallery(made.write(), (), SETTINGS, tmp_path / "out", photos=tmp_path / "photos.csv")
    nothing, a = photo_rows(tmp_path)
    assert [card["data-confidence"] for card in parse(tmp_path / "out").all("article")] == ["", "0.600000"]
    assert "confidence 60.0\u00a0%, not calibrated" in parse(tmp_path / "out").text
    assert (a["confidence"], a["coverage"]) == ("0.6000", "0.5000")
    assert [nothing[name] for name in ("coverage", "judged", "confidence", "missing")] == ["0.0000", "", "", SCRIPT]


def test_tools_know_what_there_is(run: Run, tmp_path: Path) -> None:
    build_gallery(run.write(), SOURCES, SETTINGS, tmp_path / "out")
    page = parse(tmp_path / "out")
    assert [option["value"] for option in page.all("option")] == [
        *("rank 1", "iou 1", "iou -1", "label 1", "label -1"),
        *("disagreement -1", "disagreement 1", "coverage 1", "coverage -1"),
        *("confidence 1", "confidence -1", "name 1"),
    ]
    assert [button["data-panel"] for button in page.all("button") if "data-panel" in button] == list("01234")
    bad, _, good = page.all("article")[:3]
    assert (bad["data-iou"], bad["data-coverage"], bad["data-disagreement"]) == ("0.333333", "1.000000", "0.500000")
    assert (good["data-iou"], good["data-coverage"], good["data-disagreement"]) == ("1.000000", "0.500000", "0.000000")
    assert (bad["data-confidence"], good["data-confidence"]) == ("1.000000", "1.000000")
    assert (bad["data-label"], good["data-label"]) == ("1.000000", "0.500000")
    train = page.all("article")[-1]
    assert (train["data-classes"], train["data-disagreement"]) == ("0 1 2", "")


def test_panels_keep_their_number_where_a_column_is_left_out(run: Run, tmp_path: Path) -> None:
    run.predictions.clear()
    build_gallery(run.write(), SOURCES, SETTINGS, tmp_path / "out")
    page = parse(tmp_path / "out")
    assert {figure["class"] for figure in page.all("figure")} == {"p0", "p1", "p2", "p4"}
    assert [button["data-panel"] for button in page.all("button") if "data-panel" in button] == list("0124")


def test_nothing_made_yet(tmp_path: Path) -> None:
    made = Run(tmp_path)
    made.add("a", cam=False)
    (val,) = build_gallery(made.write(), (), SETTINGS, tmp_path / "out")
    assert val.cards == ()
    assert "nothing has been made" in parse(tmp_path / "out").text


def test_mask_that_is_all_255_is_not_ranked(tmp_path: Path) -> None:
    made = Run(tmp_path)
    made.add("a", mask=half(255, 255), prediction=half(1, 0))
    (val,) = build_gallery(made.write(), (), SETTINGS, tmp_path / "out")
    assert [(card.rank, card.score) for card in val.cards] == [(None, None)]


@pytest.mark.parametrize("label", [np.zeros((5, 5), np.uint8), half(3, 0)])
def test_label_that_does_not_fit_leaves_the_old_page(run: Run, tmp_path: Path, label: np.ndarray) -> None:
    out = tmp_path / "out"
    with atomic_dir(out) as folder:
        (folder / "index.html").write_text("old")
    run.predictions["c-good"] = lambda file: put_labels(file, "c-good", label, np.ones(label.shape))
    with pytest.raises(IntegrityError, match="does not fit"):
        build_gallery(run.write(), SOURCES, SETTINGS, out)
    assert (out / "index.html").read_text() == "old"
    assert [path.name for path in tmp_path.glob(".out*")] == []


def test_unknown_split(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no photo in split 'test'"):
        build_gallery(run.write(), SOURCES, GallerySettings(images=1, width=64, split="test"), tmp_path / "out")


def test_strips_show_the_student_epoch_by_epoch(run: Run, tmp_path: Path) -> None:
    results, epochs = run.write(), tmp_path / "epochs"
    (record,) = results.index.split("train")
    for epoch in range(1, 26):
        save_mask_png(snapshot_file(epochs, epoch, record), half(1 if epoch < 20 else 2, 0))
    build_gallery(results, SOURCES, SETTINGS, tmp_path / "out", epochs=epochs)
    pictures = [(each["alt"], each.get("src") or "") for each in parse(tmp_path / "out").all("img")]
    strip = [(alt, file) for alt, file in pictures if "strip" in file]
    names = ["Photo", "Pseudo-label", *(f"Epoch {epoch}" for epoch in (1, 4, 6, 9, 12, 14, 17, 20, 22, 25))]
    assert [alt for alt, _ in strip] == [f"{name} of t-train" for name in names]
    drawn = [(tmp_path / "out" / file).read_bytes() for _, file in strip]
    # The pseudo-label is class 2, as in the epochs from 20 on.
    assert [drawn.index(each) for each in drawn] == [0, 1, *[2] * 7, 1, 1, 1]
    digest = write_corrected(tmp_path / "corrected", {"t-train": half(1, 0)}, "t-train")
    results = replace(results, others=other_labels(tmp_path / "corrected", digest)[0])
    build_gallery(results, SOURCES, SETTINGS, tmp_path / "out", epochs=epochs)
    titles = [each.get("data-title") for each in parse(tmp_path / "out").all("a") if "strip" in (each["href"] or "")]
    assert titles[:3] == ["Photo", "Label learned from", "Epoch 1"]


@pytest.mark.parametrize("damage", [None, b"cut off", half(9, 0)])
def test_a_damaged_mask_of_an_epoch_says_how_to_make_it_again(
    run: Run, tmp_path: Path, damage: bytes | np.ndarray | None
) -> None:
    results = run.write()
    (record,) = results.index.split("train")
    file = snapshot_file(tmp_path / "epochs", 1, record)
    file.parent.mkdir(parents=True)
    if isinstance(damage, np.ndarray):
        save_mask_png(file, damage)
    elif damage:
        file.write_bytes(damage)
    with pytest.raises(IntegrityError, match="dvc repro -f -s distill") as caught:
        build_gallery(results, SOURCES, SETTINGS, tmp_path / "out", epochs=tmp_path / "epochs")
    assert caught.value.where == str(file)


def test_stage(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run.write()
    monkeypatch.chdir(tmp_path)
    gallery = "gallery: {images: 2, width: 64, split: val}"
    (tmp_path / "params.yaml").write_text(
        f"dataset: {{root: {tmp_path / 'data'}, masks: ., max_megapixels: 1.0, long_side: 0}}\n{gallery}\n"
    )
    own = next(record for record in run.records if record.id == "c-good")
    mask = load_mask(tmp_path / "data" / str(own.mask), SHAPE, len(CLASSES))
    (tmp_path / "data" / ORIGINS).write_text(origins_text({own.id: Origin(NETWORK, "found", digest(mask))}))
    (tmp_path / "sources.csv").write_text(",".join(SOURCE_COLUMNS) + "\nstudent,val,3,no,arg-max,no,no,no,.5,.5,.4,1\n")
    for name in TABLES:
        (tmp_path / name).write_text("epoch,loss\n")
    for name, text in VERDICT_TABLES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "epochs").mkdir()
    paths = ["--masks=masks.csv", *(f"--{name}={name}" for name in STAGE_INPUTS)]
    result = CliRunner().invoke(
        main, [*paths, "--reports=.", "--out=reports/gallery", "--overlays=reports/overlays", "--photos=photos.csv"]
    )
    assert result.exit_code == 0, result.output
    assert "gallery: 2 of 5 val photos, median IoU of a prediction 77.5" in result.output
    assert "student" in parse(tmp_path / "reports/gallery").text
    assert "Verdict: usable in part" in parse(tmp_path / "reports/gallery").text
    said = result.output.rstrip().splitlines()
    begin = said.index("verdict: usable in part")
    assert "1 of 3 val masks are still as wsss wrote them: the score says how far the network" in said[begin + 1]
    assert "A person's are 2 of them, and 10 or more would decide: the verdict is that without" in said[begin + 1]
    assert said[begin + 1].strip() in parse(tmp_path / "reports/gallery").text
    assert said[begin + 2] == "  check: <b>cow</b>"
    assert said[begin + 2].strip() in parse(tmp_path / "reports/gallery").text
    predict = "wsss predict artifacts/student.pt {} -o ../found --overlays --min-area 0.1%"
    assert said[-1] == f"next: {predict.format(tmp_path / 'data')}"
    text = parse(tmp_path / "reports/gallery").text
    assert predict.format("FOLDER") in text
    assert str(tmp_path) not in text
    assert "FOLDER is your folder of photos" in text
    assert told(scratch_root() / FOLDER)["gallery"]["words"] == "\n".join(said[begin:])
    assert [row["rank"] for row in photo_rows(tmp_path)] == ["1", "2", "3", "4", "", "1"]
    assert len(list((tmp_path / "reports/overlays").glob("*.jpg"))) == 5
    assert not [each for each in parse(tmp_path / "reports/gallery").all("p") if each.get("id") == "learned"]


def test_stage_shows_the_labels_that_the_settings_name(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.write()
    digest = write_corrected(
        tmp_path / "corrected", {"t-train": half(1, 0)}, "t-train", **{FROM_LABELS: 1, MADE_BY: "otsu"}
    )
    write_store(tmp_path / "relabelled", PSEUDO_FORMAT, {}, **{BY_HAND: 1, LABELS_SHA: digest})
    monkeypatch.chdir(tmp_path)
    sections = {
        "dataset": {"root": "data", "max_megapixels": 1.0},
        "distill": {"labels": "corrected", "rounds": 1},
        "gallery": {"images": 2, "width": 64, "split": "val"},
    }
    (tmp_path / "params.yaml").write_text(json.dumps(sections))
    (tmp_path / "sources.csv").write_text(",".join(SOURCE_COLUMNS) + "\n")
    for name in TABLES:
        (tmp_path / name).write_text("epoch,loss\n")
    for name, tables in VERDICT_TABLES.items():
        (tmp_path / name).write_text(tables)
    (tmp_path / "epochs").mkdir()
    paths = ["--masks=masks.csv", "--reports=.", "--photos=photos.csv", *(f"--{name}={name}" for name in STAGE_INPUTS)]
    texts = []
    for folder in ("corrected", "moved"):
        (tmp_path / "corrected").rename(tmp_path / folder)
        result = CliRunner().invoke(main, paths)
        assert result.exit_code == 0, result.output
        texts.append(parse(Path("reports/gallery")).text)
    assert "labels in corrected (1 photo, 1 of them corrected by hand, 1 of them by otsu)" in texts[0]
    assert "learned from labels of 1 photo corrected by hand and of 1 photo made by otsu." in texts[0]
    assert "not in corrected any more" in texts[1]


def test_where_labels_were_imported_the_page_says_that_no_cam_is_blamed(run: Run, tmp_path: Path) -> None:
    tables = tmp_path / "tables"
    tables.mkdir()
    for name in TABLES:
        (tables / name).write_text("epoch,loss\n")
    rows = [(name, 0.1, 0.2, 0.1) for name in CLASSES]
    (tables / "per_class.csv").write_text(csv_text(("class", "cam", "imported labels", "student"), rows))
    (tables / "confusion.csv").write_text("actual,predicted,pixels,share\n")
    for learned in ("", "The student learned from the labels in corrected."):
        build_gallery(run.write(), (), SETTINGS, tmp_path / "out", tables, learned=learned)
        text = parse(tmp_path / "out").text
        assert ("and at the label if each was: the student learned from imported labels" in text) is bool(learned)
        assert ("Lost at the CAM" in text) is not learned


def test_stage_after_an_evaluation_without_any_mask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {"WSSS_WORKERS": "0", "WSSS_DEVICE": "cpu", "WSSS_SCRATCH": str(tmp_path / "scratch")}.items():
        monkeypatch.setenv(name, value)
    Project(masks=False)
    evaluated = run_stage()
    assert evaluated.exit_code == 0, evaluated.stderr
    for name in ("pretrain.csv", "train.csv", "distill.csv"):
        (tmp_path / "reports" / name).write_text("epoch,loss,cls\n1,0.5,0.5\n2,0.25,0.25\n")
    for name, text in VERDICT_TABLES.items():
        (tmp_path / "reports" / name).write_text(text)
    (tmp_path / "reports" / "mixture_histograms.csv").write_text("class,score,share,background,uncertain,foreground\n")
    Path("epochs").mkdir()
    sections = json.loads(Path("params.yaml").read_text()) | {"gallery": {"images": 4, "width": 64, "split": "val"}}
    Path("params.yaml").write_text(json.dumps(sections, indent=1))
    paths = ["--masks=masks.csv", *(f"--{name}={name}" for name in STAGE_INPUTS)]
    result = CliRunner().invoke(main, paths)
    assert result.exit_code == 0, result.output
    assert re.search(r"gallery: 4 of 4 val photos, median disagreement \d", result.output)
    plots = {path.name for path in Path("reports/gallery").glob("plot_*.png")}
    assert plots == {"plot_pretrain.png", "plot_train.png", "plot_distill.png"}
    assert "Ground truth" not in parse(Path("reports/gallery")).text
