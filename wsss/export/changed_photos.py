"""Photos that are other files now than when their labels were made: the labels are of other pictures then."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from wsss.core.atomic import sha256_file
from wsss.core.errors import WsssError
from wsss.core.locked_files import read_settings
from wsss.core.log import Progress, warn
from wsss.core.words import counted
from wsss.data.index import Record
from wsss.export.labels import Labels
from wsss.export.predicted import is_predicted
from wsss.formats.problems import some
from wsss.predict.project import section_of

LOCK = "dvc.lock"


def photos_of(source: Path, dataset: Path | None) -> Path | None:
    """The folder that the photos of the store `source` were indexed in, by the settings of the run whose index it is:
    `dataset`, or the one beside the store. None where they are not known, and for a folder of `wsss predict`.
    """
    index = (dataset or source.parent / "dataset").absolute()
    if is_predicted(source) or not (index / "index.csv").is_file():
        return None
    run = index.parent.parent
    settings = section_of(run, "dataset")
    if (run / LOCK).is_file():
        with suppress(WsssError):
            settings = read_settings(run / LOCK).get("dataset") or settings  # params.yaml may name others since
    return run / str(settings["root"]) if "root" in settings else None


def warn_changed(labels: Labels, photos: Mapping[str, Record], root: Path) -> None:
    """Warn of those of the `labels` whose photos below `root` have another checksum than in `photos`.

    What is not there, or has no checksum in `photos`, is not compared.
    """
    changed = []
    with Progress("export", len(labels.ids), "photos compared") as progress:
        for name in labels.ids:
            record = photos.get(name)
            if record is not None and record.sha256:
                with suppress(OSError):
                    if sha256_file(root / record.image) != record.sha256:
                        changed.append(name)
            progress.advance()
    if changed:
        what = (
            f"{counted(len(changed), 'photo')} changed since the labels were made, which may not fit: {some(changed)}"
        )
        warn(root, what, "restore these files; or make the labels again (dvc repro, wsss predict), and export them")
