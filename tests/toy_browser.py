"""A page in a real browser."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium")
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
"""The page runs no script but its own; the copy of a test has one more."""


def acted(page: Path, script: str) -> Any:
    """What `script`, an async function's body with a `step` that counts loads from 0, returns in a real browser."""
    tail = f"""<script>addEventListener("load", async () => {{
      const step = Number(sessionStorage.step ?? 0);
      const again = () => {{ sessionStorage.step = step + 1; location.reload(); }};
      const all = (selector) => [...document.querySelectorAll(selector)];
      const press = (key) => document.body.dispatchEvent(new KeyboardEvent("keydown", {{ key, bubbles: true }}));
      const found = await (async () => {{ {script} }})();
      if (found) document.body.textContent = JSON.stringify(found);
    }});</script></body>"""
    text = POLICY.sub("", page.read_text(encoding="utf-8"))
    copy = page.with_name("copy.html")
    copy.write_text(tail.join(text.rsplit("</body>", 1)), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--dump-dom"]
    assert CHROMIUM is not None
    command = [CHROMIUM, *options, f"--user-data-dir={page.parent / 'browser'}", copy.as_uri()]
    dumped = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    (body,) = re.findall(r"<body[^>]*>(.*)</body>", dumped, re.DOTALL)
    return json.loads(html.unescape(body))
