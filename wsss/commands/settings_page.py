"""The page docs/settings.md: every key in a table, what several sections share once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wsss.commands.sections import REQUIRED, Key

SHARED = {
    "backbone": "Which network turns images into features.",
    "augment": "Random scale, flip, crop and colour jitter of training samples.",
    "optim": "Stochastic gradient descent with a polynomially decaying learning rate.",
    "crf": "The fully connected CRF. `off` switches it off; `published` is all defaults; or only the keys that differ.",
}
"""Groups of keys that several sections have."""

HEAD = """# Settings

Every key of `params.yaml`. Written by `make docs` from the code that reads them; `wsss explain KEY` says the same, with
your value. A key that is not written has its default. An unknown or mistyped key is an error that names file, line and
the key that was probably meant.

A recipe writes what a researcher would vary. To vary a key that is not written, give it to DVC with `++`:
`dvc exp run -S '++train.fusion.hardest=0.3'`.
"""


def page(keys: Sequence[Key], stages: dict[str, list[str]]) -> str:
    """The page as Markdown."""
    parts = [HEAD]
    for section in dict.fromkeys(key.section for key in keys):
        own = [key for key in keys if key.section == section]
        read = ", ".join(f"`{stage}`" for stage in stages.get(section, []))
        parts.append(f"## `{section}`\n\nRead by {read}.\n\n{_table(_collapsed(own), section)}")
    for group, sentence in SHARED.items():
        chosen = [key for key in keys if f".{group}." in key.name]
        homes = dict.fromkeys(key.name.partition(f".{group}.")[0] for key in chosen)
        places = ", ".join(f"`{home}.{group}`" for home in homes)
        first = [key for key in chosen if key.name.startswith(f"{next(iter(homes))}.{group}.")]
        parts.append(f"## `*.{group}`\n\n{sentence} In {places}.\n\n{_table(first, f'{next(iter(homes))}.{group}')}")
    return "\n".join(parts)


def _collapsed(keys: Sequence[Key]) -> Iterable[Key]:
    """Keys of a group that several sections share become one line."""
    seen = set()
    for key in keys:
        parts = key.name.split(".")
        group = next((part for part in parts[1:-1] if part in SHARED), None)
        if group is None:
            yield key
            continue
        home = ".".join(parts[: parts.index(group) + 1])
        if home not in seen:
            seen.add(home)
            if group != "crf":  # which has a line of its own
                yield Key(home, "keys", "", "", f"see [`*.{group}`](#{group})")


def _table(keys: Iterable[Key], prefix: str) -> str:
    lines = ["| key | default | takes | meaning |", "|---|---|---|---|"]
    for key in keys:
        name = key.name.removeprefix(prefix).lstrip(".") or key.name
        unit = f" [{key.unit}]" if key.unit else ""
        default = "**required**" if key.default == REQUIRED else f"`{key.default}`" if key.default else ""
        lines.append(f"| `{name}` | {default}{unit} | {key.kind} | {key.sentence.replace('|', '/')} |")
    return "\n".join(lines) + "\n"
