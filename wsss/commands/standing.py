"""Settings of a person's in the way of `wsss init`: which of them are others than it would write today."""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from wsss.commands.kept_labels import KeptLabels, kept_labels
from wsss.core.atomic import write_text
from wsss.core.errors import UserError, WsssError
from wsss.core.recipes import read_recipe, recipe_header, recipe_names
from wsss.core.words import counted

MOST = 15
"""Settings that are listed; the rest are counted."""
ROOT, UNTAGGED = "dataset.root", "dataset.allow_untagged"
_MADE = re.compile(r"^# Settings for .*, made by `wsss init` from recipes/([\w-]+)\.yaml\.$", re.MULTILINE)


def recipe_of(params: Path) -> str | None:
    """The recipe that the settings at `params` were made from, by `wsss init`, or by a copy that begins with the same
    comment; None where they do not say so.
    """
    try:
        text = params.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    if found := _MADE.search(text):
        return found[1] if found[1] in recipe_names() else None
    header = recipe_header(text)
    return next((name for name in recipe_names() if header and recipe_header(read_recipe(name)) == header), None)


def told_apart(
    error: UserError,
    params: Path,
    derive: Callable[[], tuple[str, str]],
    untagged: Literal["keep", "error"] | None,
    chosen: str | None = None,
) -> UserError:
    """`error`, which says that `params` exists, with the settings there that are others than those that `derive` gives:
    the recipe, and the text that would be written. As it is, where either cannot be read.

    What becomes of photos without a tag is a person's answer, and no difference unless `untagged` gives it. `chosen`:
    the recipe that is asked for. Where it is another, the fix says how to change recipes and keep the data set.
    """
    from wsss.commands.sections import all_keys, values_in  # they load what all stages do

    try:
        recipe, text = derive()
        with tempfile.TemporaryDirectory(prefix="wsss-init-") as folder:
            write_text(made := Path(folder) / "params.yaml", text)
            theirs, ours = (values_in(path, all_keys()) for path in (params, made))
    except WsssError:
        return error
    ours[UNTAGGED] = theirs[UNTAGGED] if untagged is None else str(untagged == "keep").lower()
    if Path(theirs[ROOT]).resolve() == Path(ours[ROOT]).resolve():
        ours[ROOT] = theirs[ROOT]
    rows: list[tuple[str, str, str]] = []
    for key in ours | theirs:
        inside = rows and key.startswith(f"{rows[-1][0]}.")  # a key of a CRF that is told already
        if theirs.get(key) != ours.get(key) and not inside:
            rows.append((key, theirs.get(key, "-"), ours.get(key, "-")))
    other = "" if chosen in (None, recipe) else f", where recipe {chosen} is asked for"
    labels = kept_labels(params)
    switch = _switch(chosen, params, labels) if other else ""
    force = f"{error.fix}, but {labels.named} would be lost" if labels else error.fix
    if not rows:
        what = f"exists, with the settings that wsss init would write now (recipe {recipe}){other}"
        return UserError(error.where, what, f"{switch or f'keep it: wsss check {params}; or '}{force}")
    width, wide = (max(len(row[place]) for row in rows[:MOST]) for place in (0, 1))
    lines = [f"  {key:<{width}}  {mine:<{wide}}  wsss init: {derived}" for key, mine, derived in rows[:MOST]]
    lines += [f"  and {len(rows) - MOST} more"] if len(rows) > MOST else []
    verb = "is another" if len(rows) == 1 else "are others"
    what = f"exists; {counted(len(rows), 'setting')} {verb} than wsss init would write now (recipe {recipe}){other}:"
    keep = switch or "keep it, and set what is wrong; or "
    return UserError(error.where, "\n".join([what, *lines]), f"{keep}{force}")


def _switch(recipe: str | None, params: Path, labels: KeptLabels | None) -> str:
    """The command that puts `recipe` in the place of another, as the beginning of a fix. `labels`: what the settings
    name, which that command keeps, too.
    """
    option = "" if params == Path("params.yaml") else f" --params {shlex.quote(str(params))}"
    command = f"wsss recipe use {recipe} --keep-dataset{option}"
    kept = "no other setting is kept; the old file is, as a .bak"
    also = f" and {labels.named}" if labels and labels.there else ""
    return f"to change to recipe {recipe}, and keep the section dataset{also}: {command} ({kept}); or "
