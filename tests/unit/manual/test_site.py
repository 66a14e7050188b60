"""The site: it builds without a warning, and nothing on it is loaded from the network."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import REPO

LOADED = re.compile(r"""<(?:script|img|link|iframe)\b[^>]*?\b(?:src|href)=["']?(?:https?:)?//""")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="needs pip install 'wsss[docs]'")
def test_the_site_builds_without_a_warning_and_loads_nothing(tmp_path: Path) -> None:
    site = tmp_path / "site"
    process = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=REPO,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    pages = list(site.rglob("*.html"))
    assert {"index.html", "commands.html", "python.html"} <= {page.name for page in pages}
    for page in pages:
        assert not LOADED.search(page.read_text(encoding="utf-8")), page
    for style in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", style.read_text(encoding="utf-8")), style
    assert "Segment one photo" in (site / "python.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/README.md"])
def test_pages_beside_the_site_link_to_files(page: str) -> None:
    text = (REPO / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if not link.startswith("https://")]
    assert all((REPO / page).parent.joinpath(link).exists() for link in links), links
    assert links or page == "CHANGELOG.md" or page == "CONTRIBUTING.md"


def test_the_readme_is_short_and_names_every_how_to() -> None:
    text = (REPO / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120
    assert not [page.name for page in (REPO / "docs/howto").glob("*.md") if f"(docs/howto/{page.name})" not in text]
