"""Labels of a data set that has changed: own ones where there are any, else those of another store, and no others."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from wsss.core.errors import UserError
from wsss.core.labels_fit import labels_fit
from wsss.stores.filled import FilledStore
from wsss.stores.labels import PSEUDO_FORMAT, PseudoStore, put_labels
from wsss.stores.shards import StoreMeta, plan_shards, shard_writer, write_store_index

CLASSES = ("background", "cow")


def write(folder: Path, ids: str, value: int, **attributes: bool | int | str) -> PseudoStore:
    folder.mkdir()
    meta, shards = StoreMeta(PSEUDO_FORMAT, CLASSES, attributes), plan_shards(ids, 2)
    for shard in shards:
        with shard_writer(folder / shard.name, shard, meta) as file:
            for name in shard.ids:
                put_labels(file, name, np.full((2, 2), value, np.uint8), np.full((2, 2), value))
                if "corrected_by_hand" in attributes:
                    file[name].attrs["corrected_by_hand"] = True
    write_store_index(folder, meta, shards)
    return PseudoStore(folder)


def test_own_labels_come_first_and_others_fill_in(tmp_path: Path) -> None:
    own, rest = write(tmp_path / "own", "abc", 1, corrected_by_hand=3), write(tmp_path / "rest", "bcdx", 0)
    both = FilledStore(own, rest, ["b", "c", "d"])
    for store in (both, pickle.loads(pickle.dumps(both)), both.part(["b", "d"])):  # noqa: S301
        assert [int(store.label(name).max()) for name in ("b", "d")] == [1, 0]
        assert [float(store.confidence(name).max()) for name in ("b", "d")] == [1, 0]
        assert "a" not in store
        assert "x" not in store
    assert (both.ids, both.filled, both.gone, both.by_hand) == (("b", "c", "d"), ("d",), 1, 2)
    assert both.part(["b", "d"]).ids == ("b", "d")
    assert both.path == own.path
    with pytest.raises(UserError, match="no photo 'z'"):
        both.label("z")
    assert both.mended
    assert FilledStore(own, rest, ["a", "b", "c"]).mended == ""


def test_what_has_changed_is_seen_in_the_list_of_the_store(tmp_path: Path) -> None:
    place = write(tmp_path / "own", "abc", 1, edited_sha256="0").path
    splits = {"b": "train", "c": "val", "d": "train"}
    fit = labels_fit(place, splits, CLASSES)
    assert fit is not None
    fit.check()
    assert fit.changed
    assert fit.told == (
        "1 of 3 photos has no labels there, artifacts/pseudo stands in (d); 1 photo with labels is gone (a)"
    )
    other = labels_fit(place, splits, ("background", "dog"))
    assert other is not None
    with pytest.raises(UserError) as caught:
        other.check("first && ")
    assert caught.value.what == "has other classes than the data set: without dog, with cow"
    then = "then train with the command that it prints; or set distill.labels: pseudo"
    assert caught.value.fix == f"first && wsss labels import {place}, {then}"
    numbered = labels_fit(write(tmp_path / "two", "a", 1).path, {"a": "train"}, ("cow", "background"))
    assert numbered is not None
    with pytest.raises(UserError, match="than the data set: in another order\nfix: make them again"):
        numbered.check()
    same = labels_fit(place, dict.fromkeys("abc", "train"), CLASSES)
    assert same is not None
    assert (same.told, same.changed) == ("", False)
    assert labels_fit(tmp_path, splits, CLASSES) is None
    # Masks are for train photos alone, and are not mixed with what a network has labelled.
    masks = labels_fit(write(tmp_path / "masks", "b", 1, upper_bound=True).path, splits, CLASSES)
    assert masks is not None
    with pytest.raises(UserError, match="has no labels of 1 train photo: d\nfix: wsss labels import-masks"):
        masks.check()
