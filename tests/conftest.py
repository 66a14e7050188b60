"""Fixtures that tests of several rooms share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from ruamel.yaml import YAML

from pipeline import index as index_stage
from wsss.data.index import Index, read_index
from wsss.evaluation import exported

REPO = Path(__file__).parent.parent
SHARED = Path(__file__).parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real photos with masks (`msrc_v2`, `voc20_mix`), which may not be distributed."""
    if not (SHARED / "msrc_v2" / "tags.csv").is_file():
        pytest.skip(f"needs the photos of {SHARED}, which may not be distributed")
    return SHARED


@pytest.fixture(autouse=True)
def no_notes_in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that export where they run, which is the folder of a project, leave no notes there, and find none."""
    nowhere, root = REPO / "params.yaml" / "none", exported.scratch_root
    monkeypatch.setattr(exported, "scratch_root", lambda: nowhere if Path.cwd() == REPO else root())


@dataclass
class RawData:
    """A raw data set in the making, and the `index` stage run on it as a user would."""

    root: Path
    out: Path
    exit_code: int = -1
    text: str = ""

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def photo(self, name: str, size: tuple[int, int] = (6, 8), **options: object) -> Path:
        """A photo of noise that its name determines; `size` is (H, W) as stored, `options` are Pillow's."""
        pixels = np.random.default_rng(list(name.encode())).integers(0, 256, (*size, 3), dtype=np.uint8)
        path = self.write(name, b"")
        Image.fromarray(pixels).save(path, **options)
        return path

    def index(self, settings: Mapping[str, object] | None = None, seed: int = 0) -> Index | None:
        """Run the stage, by default with photos as they are; None if it failed. `exit_code`, `text`: the rest."""
        params = self.out.with_name("params.yaml")
        section = {"root": str(self.root), "format": "folder", "val_fraction": 0.0, "long_side": 0, **(settings or {})}
        YAML().dump({"seed": seed, "dataset": section}, params)
        paths = {"params": params, "out": self.out, "masks": self.out.with_name("masks.csv")}
        result = CliRunner().invoke(index_stage.main, [f"--{name}={path}" for name, path in paths.items()])
        self.exit_code, self.text = result.exit_code, result.stderr
        return None if result.exit_code else read_index(self.out)

    def fails(self, *parts: str, fix: str, settings: Mapping[str, object] | None = None) -> None:
        """The stage ends with exit code 2, and its message holds all `parts` and the `fix`."""
        assert self.index(settings) is None
        assert self.exit_code == 2, self.text
        for part in (*parts, f"fix: {fix}"):
            assert part in self.text, self.text
        assert "Traceback" not in self.text
        assert not (self.out / "index.csv").exists()


@pytest.fixture
def raw_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RawData:
    """An empty data set."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").mkdir()
    return RawData(tmp_path / "raw", tmp_path / "dataset")
