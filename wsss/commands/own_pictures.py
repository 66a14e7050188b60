"""Pictures that wsss itself has written below a data set's folder, and that are read as photos there.

Stage `index` and `wsss check` read every picture below the folder; only `wsss predict` leaves these out (`left_out`).
"""

from __future__ import annotations

import os
from collections import Counter
from functools import cache
from pathlib import Path, PurePosixPath

from wsss.core.folders import MARK
from wsss.formats.build import Survey
from wsss.formats.problems import Finding, some
from wsss.predict.written import WRITTEN, is_filled


def own_pictures(survey: Survey, root: Path) -> list[Finding]:
    """What to say where photos of `survey`, paths below `root`, lie in what `wsss predict` or `wsss export` wrote."""
    images = {*(record.image for record in survey.index.records), *survey.untagged}
    written = cache(lambda folder: _written(root, folder))
    # The outermost first: an export may hold several folders.
    tops = ((next(filter(written, reversed(PurePosixPath(image).parents)), None)) for image in images)
    counts = Counter(str(top) for top in tops if top is not None)
    if not counts:
        return []
    places = some(f"{folder}/ ({count})" for folder, count in sorted(counts.items()))
    what = f"{counts.total()} of {len(images)} photos are none, but pictures that wsss has written: {places}"
    beside = os.path.normpath(root / ".." / "found")
    return [Finding(what, f"move these out of the folder of the photos, and give wsss a folder beside it: -o {beside}")]


def _written(root: Path, folder: PurePosixPath) -> bool:
    """Whether wsss wrote all pictures in `folder`, which lies below `root`. A data set itself may be marked."""
    place = root / folder
    if place == root:
        return False
    return (place / MARK).is_file() or (place.name in WRITTEN and is_filled(place.parent))
