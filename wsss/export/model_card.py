"""The model card of a package, a README.md as the Hugging Face hub shows it: what is known of a network."""

from __future__ import annotations

import html
import io
import json
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsss.export.provenance import Provenance
from wsss.models.backbones.registry import BACKBONES
from wsss.models.checkpoint import OSTE, NetworkCard

OTHER = "other"
"""The licence of a card whose writer has not chosen one, in the hub's words."""
UNSHOWN = ("demo", "dataset", "gallery")
"""Sections of the settings that say nothing of the network, or name folders of a machine."""


@dataclass(frozen=True)
class Subject:
    """What a card is about: the package's `name`, the network's `card`, how it is run in words (`how`, empty: unknown),
    its number of `parameters`, and the `licence` that its maker gives it.
    """

    name: str
    card: NetworkCard
    how: str
    parameters: int
    licence: str
    version: str


def model_card(subject: Subject, known: Provenance) -> str:
    """The text of the card."""
    card = subject.card
    classes, made = len(card.classes) - 1, f"made by `wsss` {subject.version}"
    intro = f"Finds {classes} classes in photos, pixel by pixel: a {card.kind}, {made}."
    parts = [
        _front_matter(subject, known),
        f"# {_plain(subject.name)}\n\n{intro}",
        f"Classes (0 is the background): {', '.join(_plain(name) for name in card.classes)}.",
        _use(subject),
        "## Data set\n\n" + "\n".join(_data(known)),
        "## Training\n\n" + "\n".join(_training(subject, known)),
        "## Scores\n\n" + "\n".join(_scores(subject, known)),
        "## Limits\n\n" + "\n".join(_limits(subject, known)),
        "## Licence\n\n" + "\n".join(_licence(subject)),
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(subject: Subject, known: Provenance) -> str:
    tags = ["semantic-segmentation", "weakly-supervised", "image-segmentation", "onnx", "safetensors"]
    lines = [
        f"license: {json.dumps(subject.licence)}",
        "library_name: wsss",
        "pipeline_tag: image-segmentation",
        "tags:",
        *(f"- {tag}" for tag in tags),
    ]
    final = _final(subject, known)
    if final is not None and final["miou"]:
        lines += [
            "model-index:",
            f"- name: {json.dumps(subject.name, ensure_ascii=False)}",
            "  results:",
            "  - task: {type: image-segmentation}",
            f"    dataset: {{type: wsss, name: photos with masks, split: {json.dumps(final['split'])}}}",
            f"    metrics: [{{type: mean_iou, value: {float(final['miou']):.4f}}}]",
        ]
    return "\n".join(["---", *lines, "---"])


def _use(subject: Subject) -> str:
    return f"""## Use

```console
$ pip install wsss
$ wsss predict hf://OWNER/{_plain(subject.name)} PHOTOS -o OUT
```

```python
from wsss import Segmenter
segmenter = Segmenter.load("hf://OWNER/{_plain(subject.name)}")  # or the folder of this file
found = segmenter("photo.jpg")
found.label  # (height, width) uint8: 0 is the background
```

{subject.how or "The file does not say how the network was evaluated; it runs at scale 1."}

`model.onnx` needs no `wsss`: its input `images` is (batch, 3, height, width) float32 RGB 0..255 of any size, its
output `labels` (batch, height, width) uint8 is the label map at scale 1, `logits` what it is made of. `config.json` has
the classes, their colours in masks, the size to read photos at, test-time scales, flip and CRF."""


def _data(known: Provenance) -> Iterator[str]:
    index = known.index
    if index is None:
        yield "Unknown: the index of the data set was not found beside the network."
        return
    for split in index.splits():
        records = index.split(split)
        masks = sum(record.mask is not None for record in records)
        yield f"- {split}: {len(records)} photos, {masks} with masks"
    untagged = sum(not record.tags for record in index.records)
    sides = [max(record.own_size) for record in index.records]
    read = index.sizes
    yield f"- without a tag: {untagged}; tags a photo: {statistics.fmean(len(r.tags) for r in index.records):.1f}"
    yield f"- longer side: {min(sides)} to {max(sides)} pixels, read at {read.describe() if read else 'unknown size'}"
    yield ""
    numbers = range(1, len(index.classes))
    splits = index.splits()
    counts = [[sum(number in r.tags for r in index.split(split)) for split in splits] for number in numbers]
    rows = [(index.classes[number], *map(str, found)) for number, found in zip(numbers, counts, strict=True)]
    yield from _table(("class", *(f"tagged photos, {split}" for split in splits)), rows)


def _training(subject: Subject, known: Provenance) -> Iterator[str]:
    backbone = subject.card.backbone
    yield f"- network: {subject.card.kind} on {backbone.name}, {subject.parameters / 1e6:.1f} million parameters"
    yield f"- the backbone began with: {_plain(subject.card.weights)}"
    if subject.card.precision is not None:
        yield f"- precision of the training: {subject.card.precision}"
    if not known.settings:
        yield f"- recipe: unknown ({_plain(known.gap)})"
        return
    yield f"- labels of its training photos: {_labels(subject, known)}"
    if known.header:
        yield f"- recipe: {_plain(' '.join(known.header.split()))}"
    shown = {name: section for name, section in known.settings.items() if name not in UNSHOWN}
    yield "\n<details><summary>All settings that differ from the defaults</summary>\n"
    yield f"```yaml\n{_yaml(_without_folders(shown)).rstrip()}\n```\n\n</details>"


def _labels(subject: Subject, known: Provenance) -> str:
    if _upper_bound(subject, known):
        return "masks: an upper bound"
    named = known.settings.get("distill", {}).get("labels", "pseudo")
    if subject.card.kind == OSTE or named == "pseudo":
        return "tags alone, without any mask"
    whose = f": {_plain(known.labels)}" if known.labels else " and a person may have corrected"
    return f"those of a folder {_plain(Path(named).name)}, which no stage has made{whose}"


def _scores(subject: Subject, known: Provenance) -> Iterator[str]:
    if not known.sources:
        yield f"Unknown ({_plain(known.gap)})." if known.gap else "None: no photo that it was evaluated on has a mask."
        return
    yield "mIoU over the classes and the background, against masks that no stage of the training has read, unless a row"
    yield "says *oracle*. Settings that were chosen by these scores make them too good.\n"
    columns = ("source", "split", "images", "miou", "boundary_miou")
    rows = [(*(row[name] for name in columns), _made(row)) for row in known.sources]
    yield from _table(("source", "split", "photos", "mIoU", "boundary mIoU", "how it was made"), rows)
    final = _final(subject, known)
    found = [row for row in known.classes if final and all(row[key] == final[key] for key in ("source", "split"))]
    if final and found:
        yield f"\nBy class, {final['source']}, {final['split']}:\n"
        yield from _table(("class", "IoU"), [(row["class"], row["iou"] or "absent") for row in found])


def _made(row: Mapping[str, str]) -> str:
    parts = ["needs the photo's tags"] if row["tags_used"] == "yes" else ["photo alone"]
    if row["threshold"].startswith("oracle"):
        masks = "masks were the labels: an upper bound" if "masks" in row["threshold"] else "chosen by the masks"
        parts.append(f"**oracle** ({masks})")
    elif row["threshold"]:
        parts.append(row["threshold"])
    parts += [name for key, name in {"multiscale": "several scales", "crf": "CRF"}.items() if row[key] == "yes"]
    return ", ".join(parts)


def _limits(subject: Subject, known: Provenance) -> Iterator[str]:
    yield "- It can only find the classes above; anything else is background, or is taken for one of them."
    if not _upper_bound(subject, known):
        yield "- Masks were learned from tags: outlines are approximate, and things that always appear together may be"
        yield "  marked as one class."
    sizes = subject.card.sizes
    if sizes is not None:
        yield f"- It was trained on photos of {sizes.describe()} (longer side): others are brought to that size first."
    if known.index is not None:
        train = known.index.split("train")
        counts = {
            name: sum(number in record.tags for record in train)
            for number, name in enumerate(known.index.classes)
            if number
        }
        least = min(counts, key=lambda name: counts[name])
        yield f"- It has seen few photos of some classes, {counts[least]} of {_plain(least)}: expect little of these."
    if not known.sources:
        yield "- Its quality was not measured, or is not known here."


def _licence(subject: Subject) -> Iterator[str]:
    if subject.licence == OTHER:
        yield "Its maker has not chosen a licence for these weights (`wsss export --license` writes one)."
    else:
        yield f"These weights: {_plain(subject.licence)}."
    package = BACKBONES[subject.card.backbone.name].imagenet
    if package is not None and subject.card.weights.startswith(package.package):
        yield f"The ImageNet weights that the backbone began with ({package.requirement}): {package.licence}."
        yield "The images of ImageNet are for non-commercial research."
    elif subject.card.weights != "random":
        yield "The licence of the weights that the backbone began with is not known here."
    yield "The rights in the training photos are those of their owners. `wsss` itself: Apache-2.0."


def _final(subject: Subject, known: Provenance) -> Mapping[str, str] | None:
    """The last of the network's own rows: as it is used."""
    rows = [row for row in known.sources if row["source"].startswith(subject.card.kind)]
    return rows[-1] if rows else None


def _upper_bound(subject: Subject, known: Provenance) -> bool:
    final = _final(subject, known)
    return final is not None and "masks" in final["threshold"]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(_plain(cell) for cell in row)} |"


def _plain(text: str) -> str:
    """`text` as Markdown shows it to the letter; two asterisks stay, for our own emphasis."""
    safe = html.escape(" ".join(text.split()), quote=False)
    return "".join(f"\\{char}" if char in "|`[]" else char for char in safe)


def _without_folders(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_folders(item) for item in value]
    return value.rpartition("/")[2] if isinstance(value, str) else value


def _yaml(value: Any) -> str:
    from ruamel.yaml import YAML

    text = io.StringIO()
    YAML(typ="safe").dump(value, text)
    return text.getvalue()
