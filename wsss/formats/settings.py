"""The `dataset` section of params.yaml: where the raw data lie and how they are laid out."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Literal

from pydantic import Field, NonNegativeInt

from wsss.core.params import Settings, unit
from wsss.data.images import MAX_MEGAPIXELS
from wsss.data.size import LARGEST, MOST_ENLARGED, SMALLEST
from wsss.formats.columns import Headings


class DatasetSettings(Settings):
    """What a data set is. Paths are relative to `root`; `root` itself to the working folder."""

    root: str = Field(min_length=1, description="folder of the data set")
    format: Literal["folder", "voc", "coco"] = Field(description="layout of the data set: see docs/data.md")
    tags: str = Field(
        default="tags.csv",
        min_length=1,
        description="the tags: a CSV or .xlsx; for folder also folders (their names are the tags); for voc also xml "
        "(folder Annotations) or a .npy of one-hot vectors by id; for coco the folder of the instances_*.json, or one "
        "of them",
    )
    photo_column: str = Field(
        default="",
        description="heading of the table's column that names the photos; empty: the one whose heading says so",
    )
    tag_column: str = Field(
        default="",
        description="heading of the table's column of tags, of several that may be it; the others are not read; of "
        "numbered ones (Species 1, Species 2) what their headings share; empty: the one whose heading says so, or a "
        "column per class",
    )
    masks: str = Field(default="", description="folder of masks, used for scoring only; empty: none")
    classes: str = Field(
        default="",
        description="file of class names, line number = id; empty: all tags, sorted (folder), or VOC's 20 (voc); coco: "
        "always empty",
    )
    drop: tuple[str, ...] = Field(
        default=(),
        description="classes to leave out: their tags are ignored, and their pixels in masks are background; photos "
        "stay, also those without another tag. Masks keep the numbers of all classes, if no labelmap.txt beside them "
        "says otherwise",
    )
    val_fraction: float = Field(
        default=0.2,
        ge=0.0,
        lt=1.0,
        description="fraction of the photos that becomes the split val, by a hash of seed and id, if the tag file "
        "names no split; a class with two photos or more has some in both, one with a single photo has it in train, "
        "where no other class would lose its last photo there",
    )
    allow_untagged: bool = Field(
        default=False, description="keep photos without a tag, as photos that show no class; else they are errors"
    )
    max_megapixels: float = Field(
        default=MAX_MEGAPIXELS,
        gt=0.0,
        le=500.0,
        description="larger photos are errors",
        json_schema_extra=unit("megapixels"),
    )

    long_side: Literal["auto"] | NonNegativeInt = Field(
        default="auto",
        description="longer side that photos are read at by every stage; 0: photos as they are; auto: the median "
        f"longer side of the set, between {SMALLEST} and {LARGEST}, or 0 where photos have about this size already. "
        f"Photos are enlarged at most {MOST_ENLARGED:g} times; the shorter side of panoramas is a quarter of it",
        json_schema_extra=unit("pixels"),
    )

    @property
    def headings(self) -> Headings:
        """The columns that are named here."""
        return Headings(self.photo_column, self.tag_column)

    @property
    def dropped(self) -> frozenset[str]:
        """The names in `drop` as lists and tables are read: composed (NFC)."""
        return frozenset(unicodedata.normalize("NFC", name).strip() for name in self.drop)

    @property
    def tags_path(self) -> Path:
        """The tag file; for ``xml`` the folder of annotations, for ``folders`` the root."""
        if self.format == "folder" and self.tags == "folders":
            return Path(self.root)
        return Path(self.root) / ("Annotations" if self.tags == "xml" else self.tags)
