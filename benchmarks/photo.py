"""`python -m benchmarks.photo [PHOTOS]` in the folder of a finished run: what a photo costs each stage of shards.

Seconds of the processor and bytes of the store, means over a shard of validation photos. The stage's own task makes it
in this process, with the settings of params.yaml. The start of the process and a first shard of two photos, which waits
for networks and compiled loops, are left out.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline import cams, correct, distill, evaluate
from wsss.cams.stage import dump_shard
from wsss.core.log import say
from wsss.core.params import load
from wsss.correct.stage import correct_shard
from wsss.data.index import read_index
from wsss.distill.relabel import relabel_shard
from wsss.evaluation.predictions import Networks, predict_shard
from wsss.stores.cams import FORMAT, CamStore
from wsss.stores.labels import PREDICTIONS_FORMAT, PSEUDO_FORMAT, PseudoStore
from wsss.stores.shards import Shard, StoreMeta

WARM = 2


def main(count: int) -> None:
    """Print a row for each stage."""
    made, params = Path("artifacts"), Path("params.yaml")
    index = read_index(made / "dataset")
    settings = load(params, cams.Params)
    records = index.split("val")[:count]
    photos = settings.dataset.photos(records)
    store, labels = CamStore(made / "cams"), PseudoStore(made / "pseudo")
    corrected, distilled = load(params, correct.Params).correct, load(params, distill.Params).distill
    method = corrected.made()
    survey = method.survey(store.read(record.id) for record in index.split("train"))
    oste, student, inference = made / "oste.pt", made / "distilled.pt", settings.inference
    networks = Networks(student, oste)
    works: dict[str, tuple[Callable[..., None], str, Callable[[Any], tuple[Any, ...]]]] = {
        "cams": (dump_shard, FORMAT, lambda part: (part, oste, settings.cams, inference, None)),
        "correct": (correct_shard, PSEUDO_FORMAT, lambda part: (part, store, corrected, survey)),
        "distill, relabel": (
            relabel_shard,
            PSEUDO_FORMAT,
            lambda part: (part, labels, student, distilled.relabel, inference),
        ),
        "evaluate, predict": (
            predict_shard,
            PREDICTIONS_FORMAT,
            lambda part: (part, networks, load(params, evaluate.Params).evaluate, inference),
        ),
    }
    sizes = sorted({(record.height, record.width) for record in records})
    say(f"{len(records)} photos of {sizes[0]} to {sizes[-1]} pixels (height, width)")
    with tempfile.TemporaryDirectory() as folder:
        for name, (task, kind, arguments) in works.items():
            for ids in (photos.records[:WARM], photos.records):
                shard = Shard("00000.h5", tuple(record.id for record in ids))
                part = photos.part(shard.ids)
                begun = time.process_time()
                task(Path(folder) / shard.name, shard, StoreMeta(kind, index.classes, {}), *arguments(part))
                seconds = time.process_time() - begun
            size = (Path(folder) / shard.name).stat().st_size
            say(f"{name}: {seconds / len(records):.2f} CPU s, {size / len(records) / 1024:.1f} KiB a photo")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 16)
