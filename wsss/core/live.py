"""What a running stage tells whoever looks on: a file a stage in `live/` of the scratch folder, and a few pictures.

No artifact depends on it. Telling must cost next to nothing and can fail nothing: a thread writes every other second
what is known by then, pictures are made only while they take less than a hundredth of the time, and where nothing can
be written, that is said once.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from wsss.core.environment import scratch_root
from wsss.core.log import Progress, current_phase, warn
from wsss.core.processes import dvc_process

FOLDER = "live"
SECONDS = 2.0
"""Between two writings."""
MOST = 0.01
"""Pictures may take this fraction of a stage's time."""
RUNS, DONE, STOPPED = "runs", "done", "stopped"

Ahead = Callable[[float | None], Mapping[str, Any]]
"""Seconds spent and left, by the seconds left of the work that is shown."""


class Live:
    """What one stage tells. Its parts are changed under `turn`, because a thread writes them."""

    def __init__(self, stage: str, fingerprint: str, ahead: Ahead) -> None:
        self.file, self.pictures = folder() / f"{stage}.json", folder() / stage
        self.ahead, self.begin, self.spent, self.last = ahead, time.monotonic(), 0.0, 0.0
        self.turn, self.ended = threading.Lock(), threading.Event()
        self.broken: set[str] = set()
        named = {"stage": stage, "fingerprint": fingerprint, "state": RUNS, "why": "", "begun": time.time()}
        whose = {"host": socket.gethostname(), "process": os.getpid(), "dvc": dvc_process()}
        self.told: dict[str, Any] = named | whose | {"phases": {}, "tags": {}, "photos": {}, "classes": []}

    def keep_writing(self) -> None:
        """Until the stage has ended."""
        while not self.ended.wait(SECONDS):
            self.write()

    def write(self) -> None:
        """Replace the file by what is known now."""
        if "view" in self.broken:
            return
        with self.harmless("view"):
            with self.turn:
                works = [each.told(time.monotonic()) for each in Progress.shown]
                eta: Any = works[0]["eta"] if works else None
                text = json.dumps({**self.told, "written": time.time(), "works": works, **self.ahead(eta)})
            # Not `write_text`: that waits for the disk, and this file may be lost.
            put(self.file, text.encode())

    @contextmanager
    def harmless(self, what: str) -> Iterator[None]:
        """Where something fails inside, that is said, once for all, and this `what` is not tried again."""
        try:
            yield
        except Exception as error:  # whatever it is, the stage's own work is more important
            why = str(error).partition("\n")[0]
            fix = "none needed: wsss watch shows less, results are the same"
            if not self.broken:
                warn(self.file.parent, f"no live {what} ({why})", fix)
            self.broken.add(what)

    def aside(self, show: Callable[[], None]) -> None:
        """Call `show` unless it would take too long, by what it took before."""
        begin = time.monotonic()
        if "pictures" in self.broken or (self.spent and self.spent + self.last > MOST * (begin - self.begin)):
            return
        with self.harmless("pictures"):
            show()
        self.last = time.monotonic() - begin
        self.spent += self.last


_live: Live | None = None


def folder() -> Path:
    """Where the stages' files lie."""
    return scratch_root() / FOLDER


@contextmanager
def telling(stage: str, fingerprint: str, ahead: Ahead) -> Iterator[None]:
    """While inside, `stage` tells what it does; then, how it ended."""
    global _live
    before, live = _live, Live(stage, fingerprint, ahead)
    _live = live
    live.write()
    writer = threading.Thread(target=live.keep_writing, name=f"live view of {stage}", daemon=True)
    writer.start()
    state, why = STOPPED, ""
    try:
        yield
        state = DONE
    except BaseException as error:
        why = str(error).partition("\n")[0] or type(error).__name__
        raise
    finally:
        _live = before
        live.ended.set()
        writer.join(SECONDS)
        with live.turn:
            live.told |= {"state": state, "why": why}
        live.write()


def note_history(rows: Sequence[Mapping[str, float]], epochs: int) -> None:
    """The rows so far of the training of this phase, which is to have so many `epochs`."""
    if _live is not None:
        with _live.turn:
            _live.told["phases"][current_phase()] = {"epochs": epochs, "rows": [dict(row) for row in rows]}


def note_tags(means: Mapping[int, float]) -> None:
    """The mean average precision of the tags by epoch, 0 = before the training."""
    if _live is not None:
        with _live.turn:
            _live.told["tags"] = {str(epoch): value for epoch, value in means.items()}


def note_words(words: str) -> None:
    """The last words of the stage, which `wsss watch` repeats after the stage is done."""
    if _live is not None:
        with _live.turn:
            _live.told["words"] = words


def aside(show: Callable[[], None]) -> None:
    """Call `show`, which is to make pictures, if someone may look and as long as it costs next to nothing.

    Whatever it raises is a warning.
    """
    if _live is not None:
        _live.aside(show)


def show_answer(
    name: str, epoch: int, classes: Sequence[str], answer: bytes, photo: Callable[[], bytes], **more: str
) -> None:
    """Show PNG `answer`, a network's for photo `name` after `epoch`, over the JPEG that `photo` makes, once.

    `more`: what else is told of it. Call inside of `aside` alone.
    """
    live = _live
    assert live is not None
    phase, photos = current_phase(), live.told["photos"]
    number = photos[name]["number"] if name in photos else len(photos)
    if name not in photos:
        live.pictures.mkdir(parents=True, exist_ok=True)
        put(live.pictures / f"{number}.jpg", photo())
    put(live.pictures / f"{number}.png", answer)
    with live.turn:
        live.told["classes"] = list(classes)
        photos[name] = {"number": number, "epoch": epoch, "phase": phase, **more}


def put(path: Path, data: bytes) -> None:
    """Replace a file that others may be reading."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def told(where: Path) -> dict[str, dict[str, Any]]:
    """What stages have told in the folder `where`, by stage; what cannot be read is left out."""
    found = {}
    for file in sorted(where.glob("*.json")):
        with suppress(OSError, ValueError):
            content = json.loads(file.read_text(encoding="utf-8"))
            if isinstance(content, dict) and content.get("stage") == file.stem:
                found[file.stem] = content
    return found
