"""Pages from the templates beside this file: one HTML, nothing from the network, and what is given is only text."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

STYLE = "page.css"


def render(template: str, scripts: Sequence[str], **values: object) -> str:
    """The page that `template` makes of `values`: whatever text they hold is shown, never run.

    `scripts` are our own files; the page's policy allows these bytes and no others to run.
    """
    environment = Environment(
        loader=PackageLoader("wsss.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(percent=percent, coded=coded)
    script = "".join(_own(name) for name in scripts)
    ours = {"style": Markup(_own(STYLE)), "script": Markup(script), "script_hash": csp_hash(script)}
    return environment.get_template(template).render(ours | values)


def percent(value: float | None, digits: int = 1) -> str:
    """``54.2 %`` with a space that does not break, or a dash."""
    return "–" if value is None else f"{100 * value:.{digits}f}\u00a0%"


def coded(text: str) -> Markup:
    """`text` as HTML, what stands between two backticks as code; everything else in it is only text."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def csp_hash(script: str) -> str:
    """The name by which a Content-Security-Policy allows this one script: an injected one would not run."""
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def _own(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")
