"""Whether source text can see masks: what the tests of weak supervision ask of every module that trains or labels."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

READERS = ("wsss.data.masks", "wsss.evaluation", "wsss.report", "wsss.formats")
"""Modules, and folders of them, that read masks, or hold what does."""
NAMES = {"MaskedImages", "load_mask", "read_mask_checksums", "masks.csv"}
"""What may be neither a name, nor an attribute, nor a text (of `getattr`, or of a path)."""
FIELDS = {"mask", "root"}
"""Of a record, the path of its mask; whether there is one (`is None`) may be asked. Of photos, the folder of the data
set, from which a path to anything could be put together.
"""
FOLDERS = {"masks", "segmentation", "segmentationclass", "segmentationobject", "annotations"}
"""What folders are called, in small letters, that masks lie in, or the outlines that they are drawn from."""


def imported(source: str, module: str) -> set[str]:
    """Dotted names of ours that the text of `module` imports, anywhere in it: of `from a.b import c` both `a.b` and
    `a.b.c`, which may be a module.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):  # of `importlib`
            found |= {node.value} if node.value.startswith(("wsss.", "pipeline.")) else set()
    return {name for name in found if name.split(".")[0] in ("wsss", "pipeline")}


def reached(roots: Iterable[str], modules: Mapping[str, Path]) -> dict[str, str]:
    """Every one of `modules` (path by dotted name) that `roots` import, and what these import in turn: by name, who
    imports it first. Imports within functions count.
    """
    found = dict.fromkeys(roots, "")
    pending = list(found)
    while pending:
        module = pending.pop()
        for name in sorted(imported(modules[module].read_text(encoding="utf-8"), module)):
            if name in modules and name not in found:
                found[name] = module
                pending.append(name)
    return found


def reads_masks(source: str, module: str) -> list[str]:
    """What in the text of `module` gets hold of masks: imports, names, attributes, texts; empty if nothing does."""
    names = sorted(imported(source, module))
    found = [f"imports {name}" for name in names if any(f"{name}.".startswith(f"{each}.") for each in READERS)]
    tree = ast.parse(source)
    allowed: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):  # a text of documentation
            allowed |= {id(node.value)} if isinstance(node.value, ast.Constant) else set()
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Is | ast.IsNot):
            allowed.add(id(node.left))
    for node in ast.walk(tree):
        words = set() if id(node) in allowed else _words(node)
        told = NAMES if isinstance(node, ast.Name) else NAMES | FIELDS
        found += [f"says {word}" for word in sorted(words & told)]
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in allowed:
            parts = re.split(r"[/\\]", node.value)
            found += [f"names the folder {part}" for part in parts if part.lower() in FOLDERS]
        if isinstance(node, ast.ImportFrom) and "*" in words:
            found.append("imports *")
    return found


def _words(node: ast.AST) -> set[str]:
    """The names that a node says."""
    if isinstance(node, ast.Name):
        return {node.id}
    if isinstance(node, ast.Attribute):
        return {node.attr}
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value, Path(node.value).name}
    if isinstance(node, ast.ImportFrom):
        return {alias.name for alias in node.names}
    return set()
