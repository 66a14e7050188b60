"""Files that people bring, with pieces cut out, doubled, swapped or made of noise: read, or told what is wrong."""

from __future__ import annotations

import io
import json
import random
import shutil
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np
from PIL import Image

from tests.helpers import REPO
from wsss.commands.sections import Sections
from wsss.core.errors import WsssError
from wsss.core.params import load
from wsss.data.images import decode_image
from wsss.formats.build import build_index
from wsss.formats.settings import DatasetSettings

LONGEST = 5.0
"""Seconds for one file, of the processor."""
PIECES = (
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b'"',
    b"'",
    b"\r",
    b"\n\n",
    b",",
    b";",
    b"\t",
    b"-1",
    b"1e999",
    b"NaN",
    b"null",
)
PIECES += (
    b"[",
    b"]",
    b"{",
    b"}",
    b"&a",
    b"*a",
    b"<<:",
    b"!!int",
    b"../",
    b"\x1b[2J",
    "ü".encode(),
    "🐄".encode(),
    b"9" * 400,
)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """`data` with one to six changes."""
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(data) + 1)
        length = min(len(data) - at, int(rng.expovariate(0.1)))
        piece = data[at : at + length]
        other = rng.randrange(len(data) + 1)
        data = (
            rng.choice(
                (
                    data[:at] + data[at + length :],
                    data[:at] + piece + data[at:],
                    data[:at] + rng.choice(PIECES) + data[at + length :],
                    data[:at] + rng.randbytes(length) + data[at + length :],
                    data[:at] + data[other : other + length] + data[at + length :],
                )
            )
            or b"x"
        )
    return data


def _params(folder: Path, rng: random.Random) -> None:
    text = rng.choice(sorted((REPO / "recipes").glob("*.yaml"))).read_bytes()
    (folder / "params.yaml").write_bytes(mutated(text, rng))
    load(folder / "params.yaml", Sections)


def _photo(folder: Path, rng: random.Random) -> None:
    pixels = np.random.default_rng(rng.randrange(99)).integers(0, 256, (24, 32, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, rng.choice(("JPEG", "PNG", "WEBP", "BMP", "TIFF")))
    decode_image(mutated(buffer.getvalue(), rng), "photo", 1.0)


def _album(folder: Path) -> Path:
    album = folder / "album"
    if not album.exists():
        (album / "masks").mkdir(parents=True)
        for number in range(6):
            Image.fromarray(np.full((9, 12, 3), 40 * number, np.uint8)).save(album / f"a{number}.png")
    return album


def _tags(folder: Path, rng: random.Random) -> None:
    album = _album(folder)
    rows = "".join(f"a{n}.png,{('cow', 'cow|hat', 'hat')[n % 3]},{('train', 'val')[n % 2]}\n" for n in range(6))
    (album / "tags.csv").write_bytes(mutated(f"filename,tags,split\n{rows}".encode(), rng))
    build_index(DatasetSettings(root=str(album), format="folder"), 0)


def _coco(folder: Path, rng: random.Random) -> None:
    root = folder / "coco"
    shutil.rmtree(root, ignore_errors=True)
    (root / "annotations").mkdir(parents=True)
    (root / "train").mkdir()
    for number in range(3):
        shutil.copy(_album(folder) / f"a{number}.png", root / "train" / f"a{number}.png")
    pictures = [{"id": n, "file_name": f"a{n}.png", "height": 9, "width": 12} for n in range(3)]
    outline = [[1, 1, 8, 1, 8, 8, 1, 8]]
    marks = [{"id": n, "image_id": n, "category_id": 7, "segmentation": outline, "iscrowd": 0} for n in range(3)]
    content = {"images": pictures, "annotations": marks, "categories": [{"id": 7, "name": "cow"}]}
    (root / "annotations" / "instances_train.json").write_bytes(mutated(json.dumps(content).encode(), rng))
    build_index(DatasetSettings(root=str(root), format="coco"), 0)


KINDS: tuple[Callable[[Path, random.Random], None], ...] = (_params, _photo, _tags, _coco)


def fuzz_once(folder: Path, rng: random.Random) -> list[str]:
    """Read one spoilt file. Returns what is wrong; the file stays in `folder` then."""
    kind, state = rng.choice(KINDS), rng.getstate()
    begun = time.process_time()
    try:
        with redirect_stderr(io.StringIO()):  # warnings, by the hundred
            kind(folder, rng)
    except WsssError:
        pass
    except Exception as error:
        return [f"{kind.__name__}: {type(error).__name__}: {error} (state {hash(state)})"]
    seconds = time.process_time() - begun
    return [f"{kind.__name__}: {seconds:.1f} s of the processor"] if seconds > LONGEST else []
