"""Labels of a data set that has changed since they were imported: what a store lacks is read of another one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Self

import h5py

from wsss.core.stage import hash_input
from wsss.data.origins import FROM_LABELS, FROM_NETWORK
from wsss.stores.labels import BY_HAND, PseudoStore

COUNTED = (BY_HAND, FROM_NETWORK, FROM_LABELS)
"""Attributes of a store that have the number of photos with an attribute of this name."""


class FilledStore(PseudoStore):
    """The labels of `store` for the photos `ids`, and no others; of those that it lacks, the labels of `rest`.

    Both stores have the same classes. What is said of the store, as its path and how many photos were corrected, is
    said of its own photos among them.
    """

    def __init__(self, store: PseudoStore, rest: PseudoStore, ids: Sequence[str]) -> None:
        vars(self).update(vars(store.part(ids)))
        self._rest = rest.part(name for name in ids if name not in store)
        self.gone = len(store.ids) - len(self._shard_of)
        if self.gone:
            self.attributes = {**store.attributes}
            for mark in COUNTED:
                if mark in self.attributes:
                    self.attributes[mark] = sum(mark in self.group(name).attrs for name in self._shard_of)

    @property
    def ids(self) -> tuple[str, ...]:
        """All photo ids, sorted."""
        return tuple(sorted({*self._shard_of, *self._rest.ids}))

    @property
    def filled(self) -> tuple[str, ...]:
        """The photos whose labels are those of `rest`."""
        return self._rest.ids

    @property
    def mended(self) -> str:
        """A checksum of what is other than in the store itself; empty if nothing is."""
        if not self.gone and not self._rest.ids:
            return ""
        rest = hash_input(self._rest.path) if self._rest.ids else ""
        return hashlib.sha256("\n".join([rest, *self.ids]).encode()).hexdigest()

    def __contains__(self, name: str) -> bool:
        return super().__contains__(name) or name in self._rest

    def part(self, ids: Iterable[str]) -> Self:
        names = [*ids]
        part = super().part(names)
        part._rest = self._rest.part(names)
        return part

    def shard_name(self, name: str) -> str:
        return self._rest.shard_name(name) if name in self._rest else super().shard_name(name)

    def array(self, name: str, field: str) -> Any:
        return super().array(name, field) if super().__contains__(name) else self._rest.array(name, field)

    def group(self, name: str) -> h5py.Group:
        # What neither has, a stage can make again in the second one alone: its error says which.
        return super().group(name) if super().__contains__(name) else self._rest.group(name)
