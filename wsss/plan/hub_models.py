"""Whether a model of Hugging Face is on this machine. Nothing is downloaded, and transformers is not loaded."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from wsss.core.errors import EnvError, UserError, WsssError
from wsss.models.backbones.hub import CONFIG, ID, WANTED, WHERE, read_json, weights_files

PACKAGES = ("transformers", "huggingface_hub")


def why_not(model: str, random: bool) -> WsssError | None:
    """Why no stage could use `model`, the name of a backbone without its prefix, and what to do; None where one could.

    `random`: no weights of the model are read. A model that would be downloaded is none of these.
    """
    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            return EnvError(WHERE, f"the package {package} is not installed", "pip install 'wsss[hf]'")
    folder = Path(model).expanduser()
    if not folder.is_dir():
        if ID.fullmatch(model):
            return None
        fix = "correct the path, or give the id of a model, such as hf:facebook/dinov2-small"
        return UserError(WHERE, f"there is no folder {model}", fix)
    try:
        read_json(folder / CONFIG)
        if not random:
            weights_files(folder)
    except WsssError as error:
        return type(error)(error.where, f"{error.where}: {error.what}", error.fix)
    return None


def is_here(model: str) -> bool:
    """True if `model` is a folder, or in the cache with its weights: a stage would download nothing."""
    if Path(model).expanduser().is_dir():
        return True
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(model, allow_patterns=WANTED, local_files_only=True))
        weights_files(folder)
    except (OSError, ValueError, UserError):
        return False
    return (folder / CONFIG).is_file()
