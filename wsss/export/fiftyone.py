"""Label maps as a folder that FiftyOne reads as its `ImageSegmentationDirectory`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from wsss.core.atomic import atomic_file, write_text
from wsss.core.folders import atomic_dir
from wsss.core.log import Progress
from wsss.data.index import IGNORE, Record
from wsss.data.origins import ORIGINS, Origin, origins_text
from wsss.export.labels import Counts, Labels, file_label, find_files, link_photo
from wsss.export.origins import origin

SCRIPT = '''\
"""Shows the photos and masks beside this file in FiftyOne: pip install fiftyone; python show.py"""

from pathlib import Path

import fiftyone as fo

if __name__ == "__main__":
    dataset = fo.Dataset.from_dir(
        dataset_dir=str(Path(__file__).resolve().parent),
        dataset_type=fo.types.ImageSegmentationDirectory,
        label_field="wsss",
    )
    dataset.default_mask_targets = {targets}
    dataset.save()
    fo.launch_app(dataset).wait()
'''


def to_fiftyone(store: Labels, photos: Mapping[str, Record], out: Path, root: Path) -> Counts:
    """Write the folder `out`: ``data/<id>.*``, links to the photos in `root`; ``labels/<id>.png``, grey PNGs of class
    ids, 255 = ignore; ``show.py``, which loads both with the names of the classes; and the origin of each mask.

    Raises `UserError` if photos are not in `root`.
    """
    files, origins = find_files(store, photos, root), dict[str, Origin]()
    with atomic_dir(out) as folder, Progress("export", len(files), "masks") as progress:
        for name, file in files.items():
            link_photo(folder / "data" / f"{name}{file.suffix}", file.resolve())
            label = file_label(store, name, photos)
            with atomic_file(folder / "labels" / f"{name}.png") as temporary:
                # Not indexed: FiftyOne would read the colours of a palette.
                Image.fromarray(label).save(temporary, "PNG")
            origins[name] = origin(store, name, label)
            progress.advance()
        targets = {number: name for number, name in enumerate(store.classes) if number} | {IGNORE: "ignore"}
        write_text(folder / "show.py", SCRIPT.format(targets=targets))
        write_text(folder / ORIGINS, origins_text(origins))
    return {"photos": len(files)}
