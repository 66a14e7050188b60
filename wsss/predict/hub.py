"""Packages of the Hugging Face hub, by addresses like ``hf://owner/name``."""

from __future__ import annotations

import re
from pathlib import Path

from wsss.core.errors import EnvError, UserError
from wsss.core.folders import MARK
from wsss.predict.package import MODEL_CARD, READ

HUB = "hf:/"
"""A path begins so, too, that was made of an address: it has lost a slash."""
ADDRESS = re.compile(r"hf://?([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")


def local_path(model: str | Path) -> Path:
    """The path of a model; an address of the hub becomes the folder of its copy, which is fetched if need be.

    Raises `UserError` for an address that is none and for a missing huggingface_hub, `EnvError` if the hub does not
    give the package.
    """
    text = str(model)
    if not text.startswith(HUB):
        return Path(model)
    address = ADDRESS.fullmatch(text)
    if address is None:
        what = "not an address of the hub (expected hf://owner/name or hf://owner/name@revision)"
        raise UserError(text, what, "correct the address")
    shown = text if text.startswith("hf://") else text.replace(HUB, "hf://", 1)
    try:
        from huggingface_hub import snapshot_download
    except ModuleNotFoundError as error:
        what = "needs the package huggingface_hub, which is not installed"
        raise UserError(
            shown, what, "pip install huggingface_hub; or fetch the folder otherwise, and give it"
        ) from error
    repo, revision = address.groups()
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=[*READ, MARK, MODEL_CARD]))
    except Exception as error:  # of the hub, of its HTTP client and of the system: they have no common type
        reason = next(iter(str(error).splitlines()), "")[:160]
        what = f"cannot be fetched ({type(error).__name__}: {reason})"
        fix = "correct the address, or try again with a connection (private packages: hf auth login)"
        raise EnvError(shown, what, fix) from error
