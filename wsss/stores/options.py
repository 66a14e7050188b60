"""Options on the command line of the stages that read every store of labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import click

from wsss.stores.labels import LABEL_STORES, PseudoStore


def label_store_options(main: Callable[..., str]) -> Callable[..., str]:
    """Options of a stage that reads all `LABEL_STORES`: ``--pseudo``, ``--relabelled`` …, named as their folders."""
    for kind in reversed(LABEL_STORES):
        main = click.option(f"--{kind.place.name}", type=click.Path(path_type=Path), default=str(kind.place))(main)
    return main


def open_label_stores(places: Mapping[str, Path]) -> tuple[PseudoStore, ...]:
    """All `LABEL_STORES`, each from the folder that its option of `label_store_options` gives."""
    return tuple(kind(places[kind.place.name]) for kind in LABEL_STORES)
