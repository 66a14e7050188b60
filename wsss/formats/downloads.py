"""The official archives of the public data sets, and what is done with them once they are unpacked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wsss.core.atomic import write_text
from wsss.core.unpack import Limits


@dataclass(frozen=True)
class Archive:
    """One file to fetch. `size` in bytes and `checksum` (``md5:…`` or ``sha256:…``) are None where none is published
    by its maker, nor recorded by the tool kits that fetch the same file."""

    url: str
    size: int | None
    checksum: str | None
    limits: Limits

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class Download:
    """A data set: its archives, and the folder below the chosen one that `dataset.root` should name."""

    archives: tuple[Archive, ...]
    root: str
    terms: str


_COCO = "http://images.cocodataset.org"
_GB = 10**9

# Checksums: md5 as torchvision has them (datasets/voc.py, sbd.py), sha256 and sizes as TensorFlow Datasets has them
# (url_checksums/coco2014.txt, voc.txt).
DOWNLOADS = {
    "voc2012": Download(
        (
            Archive(
                "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
                1_999_639_040,
                "md5:6cd6e144f989b92b3379bac3b3de84fd",
                Limits(100_000, 3 * _GB),
            ),
        ),
        "VOCdevkit/VOC2012",
        "photos from flickr, under flickr's terms of use",
    ),
    "sbd": Download(
        (
            Archive(
                "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz",
                None,
                "md5:82b4d87ceb2ed10f6038a1cba92111cb",
                Limits(100_000, 5 * _GB),
            ),
        ),
        "benchmark_RELEASE/dataset",
        "annotations of PASCAL VOC 2011 photos, by Hariharan et al., ICCV 2011",
    ),
    "coco2014": Download(
        (
            Archive(
                f"{_COCO}/annotations/annotations_trainval2014.zip",
                252_872_794,
                "sha256:031296bbc80c45a1d1f76bf9a90ead27e94e99ec629208449507a4917a3bf009",
                Limits(100, 3 * _GB),
            ),
            Archive(
                f"{_COCO}/zips/val2014.zip",
                6_645_013_297,
                "sha256:fe9be816052049c34717e077d9e34aa60814a55679f804cd043e3cbee3b9fde0",
                Limits(100_000, 10 * _GB),
            ),
            Archive(
                f"{_COCO}/zips/train2014.zip",
                13_510_573_713,
                "sha256:ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775",
                Limits(200_000, 20 * _GB),
            ),
        ),
        ".",
        "annotations CC BY 4.0; photos from flickr, under flickr's terms of use",
    ),
}


def write_train_aug(folder: Path) -> str:
    """The list of augmented training photos, from SBD's lists and VOC's, where both lie in `folder`; what was done.

    All photos that SBD or VOC 2012 mark, without VOC's validation photos; the tags are in VOC's own annotations.
    """
    lists = folder / "VOCdevkit/VOC2012/ImageSets/Segmentation"
    sbd = folder / "benchmark_RELEASE/dataset"
    sources = [lists / "train.txt", sbd / "train.txt", sbd / "val.txt"]
    if not all(path.is_file() for path in (*sources, lists / "val.txt")):
        return f"no list written: for train_aug.txt, VOC 2012 has to be in {folder} too (wsss download voc2012)"
    marked = {name for path in sources for name in path.read_text(encoding="ascii").split()}
    names = sorted(marked - set((lists / "val.txt").read_text(encoding="ascii").split()))
    write_text(lists / "train_aug.txt", "".join(f"{name}\n" for name in names))
    return f"{lists / 'train_aug.txt'}: {len(names)} training photos (the literature's list has 10582)"
