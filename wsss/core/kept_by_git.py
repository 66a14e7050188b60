"""Outputs that dvc.yaml leaves to git (``cache: false``): DVC restores none of them, though its cache may have it."""

from __future__ import annotations

import re
from pathlib import Path


def kept_by_git(path: Path) -> bool:
    """Whether the dvc.yaml at or above `path` lists it so."""
    for root in path.parents:
        if (root / "dvc.yaml").is_file():
            name = re.escape(path.relative_to(root).as_posix())
            text = (root / "dvc.yaml").read_text(encoding="utf-8")
            return re.search(rf"- {name}:\s+cache: false\b", text) is not None
    return False
