"""`python -m manual.pictures`: pictures of this checkout's last run for docs/images.

Of the gallery, the two photos around the median rank, and the viewer on the first of them. It needs Chromium. Only what
is shown is chosen: other photos are hidden, nothing is drawn. And the trace of the photo that is first in the gallery.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click
from PIL import Image

from wsss.core.errors import UserError

GALLERY, FOLDER = Path("reports/gallery"), Path("docs/images")
PHOTOS = Path("reports/photos.csv")
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
"""The page runs no script but its own; the copy has to click."""
ONLY = "<style>article, section, footer {{display: none !important}} {shown} {{display: block !important}}</style>"
CLICK = """<script>
addEventListener("load", () => setTimeout(() => {{
  document.querySelector("#photo-{rank} figure:nth-of-type(4) a").click();
  document.dispatchEvent(new KeyboardEvent("keydown", {{key: "s", bubbles: true}}));
}}, 500));
</script>"""


def photograph(page: Path, out: Path, width: int, height: int) -> None:
    """A page as JPEG. Raises `UserError` without Chromium."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        raise UserError("chromium", "is not there", "install it: apt-get install chromium")
    picture = page.with_suffix(".png")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=5000"]
    options += ["--blink-settings=preferredColorScheme=1", f"--window-size={width},{height}"]
    subprocess.run([browser, *options, f"--screenshot={picture}", page.as_uri()], check=True, capture_output=True)
    with Image.open(picture) as image:
        image.convert("RGB").save(out, quality=82, optimize=True)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Write gallery.jpg, viewer.jpg and trace.jpg."""
    text = POLICY.sub("", (GALLERY / "index.html").read_text(encoding="utf-8"))
    val = text.split('id="split-1"', 1)[1].split('<section id="split-2"', 1)[0]
    rank = val.count("<article") // 2 - 1
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder).resolve()
        shutil.copytree(GALLERY / "images", copy / "images")
        shown = f"#split-1, #photo-{rank}, #photo-{rank + 1}"
        begin, end = text.rsplit("</body>", 1)
        for name, page, size in (
            ("gallery", text.replace("</head>", f"{ONLY.format(shown=shown)}</head>", 1), (1120, 1185)),
            ("viewer", f"{begin}{CLICK.format(rank=rank)}</body>{end}", (1280, 860)),
        ):
            (copy / f"{name}.html").write_text(page, encoding="utf-8")
            photograph(copy / f"{name}.html", FOLDER / f"{name}.jpg", *size)
        first = PHOTOS.read_text(encoding="utf-8").splitlines()[1].split(",")[0]
        trace = copy / "trace.jpg"
        subprocess.run([sys.executable, "-m", "wsss", "inspect", "artifacts", first, "-o", str(trace)], check=True)
        shutil.copy(trace, FOLDER)
    click.echo(f"pictures: photos {rank} and {rank + 1} → {FOLDER}")


if __name__ == "__main__":
    main()
