"""The index that every stage reads: the photos with their split, tags, size and checksum.

`index.csv` holds `id,split,image,mask,tags,height,width,own_height,own_width,sha256`, sorted by id, paths relative to
the data set's root; `classes.csv` holds `id,name` with 0 = background; `size.json` the long side that photos are read
at; `dropped.json`, which is there only if classes were left out, their numbers in masks. It does not hold the location
of the data set, which is not part of its identity.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wsss.core.atomic import write_text
from wsss.core.errors import IntegrityError, UserError
from wsss.core.folders import atomic_dir, marked
from wsss.data.size import ReadSizes
from wsss.data.tables import csv_text, plain, plain_rows

OWN_SIZE = ("own_height", "own_width")
INDEX_COLUMNS = ("id", "split", "image", "mask", "tags", "height", "width", *OWN_SIZE, "sha256")
SIZE = "size.json"
DROPPED = "dropped.json"
BACKGROUND = "background"
IGNORE = 255
Split = Literal["train", "val", "test"]
TAG_SEPARATOR = "|"


@dataclass(frozen=True)
class Record:
    """One photo. `tags` are class ids 1..K, ascending; `mask` is None where there is none.

    `height`, `width`: the size that the photo is read at by every stage. `own_height`, `own_width`: the size of the
    file and of its mask; 0 stands for the same. In pixels, after EXIF rotation.
    """

    id: str
    split: str
    image: str
    mask: str | None
    tags: tuple[int, ...]
    height: int
    width: int
    sha256: str
    own_height: int = 0
    own_width: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "own_height", self.own_height or self.height)
        object.__setattr__(self, "own_width", self.own_width or self.width)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) that the photo is read at."""
        return self.height, self.width

    @property
    def own_size(self) -> tuple[int, int]:
        """(H, W) of the file."""
        return self.own_height, self.own_width


@dataclass(frozen=True)
class Index:
    """All photos, sorted by id, and the class names; `classes[0]` is the background.

    `long_side`: what the photos are read at, in pixels, `auto` resolved; 0: as they are. `dropped`: numbers that masks
    hold of classes that were left out, ascending; the numbers in masks of other classes are as if they were there.
    """

    classes: tuple[str, ...]
    records: tuple[Record, ...]
    long_side: int = 0
    dropped: tuple[int, ...] = ()

    @property
    def foreground(self) -> int:
        """K, the number of classes without the background."""
        return len(self.classes) - 1

    @property
    def sizes(self) -> ReadSizes | None:
        """What a network that is trained on these photos says of their sizes; None without photos."""
        return ReadSizes.of(self.long_side, (record.size for record in self.records))

    def split(self, name: str) -> tuple[Record, ...]:
        """Records of one split; `UserError` if it is empty."""
        chosen = tuple(record for record in self.records if record.split == name)
        if not chosen:
            known = ", ".join(sorted({record.split for record in self.records}))
            raise UserError(
                "index.csv",
                f"no photo in split {name!r} (found {known})",
                "choose one of these, e.g. as evaluate.split and gallery.split",
            )
        return chosen

    def splits(self) -> tuple[str, ...]:
        """Names of the splits, train first."""
        return tuple(sorted({record.split for record in self.records}, key=lambda name: (name != "train", name)))


def write_index(folder: Path, index: Index) -> None:
    """Write `index.csv`, `classes.csv`, `size.json` and, if there are any, the numbers of dropped classes as `folder`,
    with their checksums (`core.folders`).
    """
    names = index.classes
    rows: list[Sequence[object]] = [
        (
            r.id,
            r.split,
            r.image,
            r.mask or "",
            TAG_SEPARATOR.join(names[t] for t in r.tags),
            r.height,
            r.width,
            r.own_height,
            r.own_width,
            r.sha256,
        )
        for r in sorted(index.records, key=lambda r: r.id)
    ]
    with atomic_dir(folder) as made:
        write_text(made / "index.csv", csv_text(INDEX_COLUMNS, rows))
        write_text(made / "classes.csv", csv_text(("id", "name"), enumerate(names)))
        write_text(made / SIZE, json.dumps({"long_side": index.long_side}) + "\n")
        if index.dropped:
            write_text(made / DROPPED, json.dumps({"numbers": index.dropped}) + "\n")


def read_index(folder: Path) -> Index:
    """Read what `write_index` wrote. Raises `UserError` if missing, `IntegrityError` if it is something else.

    A table without the files' own sizes, or without checksums, is one of an earlier version: runs of two versions can
    be compared.
    """
    fix = "run the index stage: dvc repro -f -s index"
    marked(folder, fix)
    try:
        class_text = (folder / "classes.csv").read_text(encoding="utf-8")
        text = (folder / "index.csv").read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(error.filename, "no such file", fix) from error
    except UnicodeDecodeError as error:
        raise IntegrityError(folder, f"damaged ({error})", fix) from error
    try:
        _, *class_rows = plain_rows(csv.reader(class_text.splitlines()))
        classes = tuple(name for _, name in class_rows)
        if [number for number, _ in class_rows] != [str(number) for number in range(len(class_rows))]:
            raise ValueError("class numbers are not 0, 1, 2, …")
    except (ValueError, csv.Error) as error:
        raise IntegrityError(folder / "classes.csv", f"cannot be read ({error})", fix) from error
    ids = {name: number for number, name in enumerate(classes)}
    rows = csv.DictReader(io.StringIO(text, newline=""))
    try:
        earlier = tuple(rows.fieldnames or ()) == tuple(name for name in INDEX_COLUMNS if name not in OWN_SIZE)
        if tuple(rows.fieldnames or ()) != INDEX_COLUMNS and not earlier:
            raise ValueError(f"found columns {rows.fieldnames}, expected {list(INDEX_COLUMNS)}")
        records = tuple(
            Record(
                plain(row["id"]),
                row["split"],
                plain(row["image"]),
                plain(row["mask"]) or None,
                tuple(ids[name] for name in plain(row["tags"]).split(TAG_SEPARATOR) if name),
                int(row["height"]),
                int(row["width"]),
                row["sha256"],
                *((0, 0) if earlier else (int(row[name]) for name in OWN_SIZE)),
            )
            for row in rows
        )
    except (KeyError, ValueError, TypeError, AttributeError, csv.Error) as error:
        raise IntegrityError(folder / "index.csv", f"line {rows.line_num} cannot be read ({error})", fix) from error
    return Index(classes, records, 0 if earlier else _long_side(folder / SIZE, fix), _dropped(folder / DROPPED, fix))


def _long_side(path: Path, fix: str) -> int:
    try:
        long_side = json.loads(path.read_text(encoding="utf-8"))["long_side"]
        if type(long_side) is not int or long_side < 0:
            raise ValueError(f"found long_side {long_side!r}, expected pixels")
    except FileNotFoundError as error:
        raise UserError(path, "no such file", fix) from error
    except (ValueError, TypeError, KeyError) as error:
        raise IntegrityError(path, f"cannot be read ({error})", fix) from error
    return int(long_side)


def _dropped(path: Path, fix: str) -> tuple[int, ...]:
    if not path.exists():
        return ()
    try:
        numbers = json.loads(path.read_text(encoding="utf-8"))["numbers"]
        if not isinstance(numbers, list) or not all(type(number) is int and 0 < number < IGNORE for number in numbers):
            raise ValueError(f"found {numbers!r}, expected numbers of classes")
    except (ValueError, TypeError, KeyError) as error:
        raise IntegrityError(path, f"cannot be read ({error})", fix) from error
    return tuple(numbers)
