"""Labels that settings name and that no stage makes: a change of the recipe takes them along, or says what is lost."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from wsss.core.errors import WsssError
from wsss.core.settings_file import read_settings

LABELS, ROUNDS, OVERRULE = "labels", "rounds", "overrule"
"""Keys of section `distill`, the last of `distill.relabel`."""
WIDE = 10_000
"""Columns of a line: those of a recipe stay as they are."""


@dataclass(frozen=True)
class KeptLabels:
    """The folder `place` that `distill.labels` names; `whose`: ``4 photos corrected by hand``, and the like; the
    settings that belong to them: the number of `rounds`, None for that of any recipe, and whether a first student must
    not `overrule` them. `there`: whether labels are in the folder.
    """

    place: str
    whose: str
    rounds: int | None
    protected: bool
    there: bool

    @property
    def named(self) -> str:
        """The setting that names them, and whose they are."""
        return f"distill.labels ({self.whose or self.place})"

    @property
    def words(self) -> str:
        """The settings, and whose labels these are."""
        settings = [f"distill.labels: {self.place}"]
        settings += [f"distill.rounds: {self.rounds}"] if self.rounds is not None else []
        settings += ["distill.relabel.overrule: false"] if self.protected else []
        return ", ".join(settings) + (f" ({self.whose})" if self.whose else "")

    def within(self, text: str) -> str:
        """The settings `text` with these in it; every other line stays as it is."""
        yaml = YAML(typ="rt")
        yaml.width, yaml.preserve_quotes = WIDE, True
        document = yaml.load(text)
        section = document.setdefault("distill", CommentedMap())
        section.pop(LABELS, None)
        section.insert(0, LABELS, self.place)  # at the end, it would stand below an empty line
        if self.rounds is not None:
            section[ROUNDS] = self.rounds
        if self.protected:
            section.setdefault("relabel", {})[OVERRULE] = False
        written = StringIO()
        yaml.dump(document, written)
        return written.getvalue()


def kept_labels(params: Path) -> KeptLabels | None:
    """The labels that the settings at `params` name; None where these name none, or cannot be read."""
    section: object = None
    with suppress(WsssError):
        section = read_settings(params).get("distill")
    if not isinstance(section, Mapping):
        return None
    from wsss.stores.imported import PSEUDO  # they load h5py
    from wsss.stores.opened import is_store, open_pseudo
    from wsss.stores.whose import whose_text

    place = str(section.get(LABELS, PSEUDO))
    if place == PSEUDO:
        return None
    if not is_store(Path(place)):
        return KeptLabels(place, "", None, False, False)
    try:
        store = open_pseudo(Path(place))
    except WsssError:  # `wsss check` says what is wrong with them
        return KeptLabels(place, "", None, False, True)
    rounds = section.get(ROUNDS)
    after_first = OVERRULE in store.attributes and isinstance(rounds, int)  # labels that a first student has mended
    whose = "masks as labels" if store.upper_bound else whose_text(store.attributes)
    return KeptLabels(place, whose, rounds if after_first else None, bool(store.by_hand or store.upper_bound), True)
