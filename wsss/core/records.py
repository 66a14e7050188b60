"""When, where and by which code an output was made: noted outside of the output and of DVC.

Artifacts hold no date, machine or commit, so that the same work gives the same bytes. The notes lie in the scratch
folder, each named by the checksum of what was made: none can speak of other bytes. Whoever deletes them loses nothing
else. What a checkout's outputs are is in `RECORD`, too, which git carries to other machines, as it does ``dvc.lock``.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from wsss.core.atomic import write_text
from wsss.core.environment import scratch_root
from wsss.core.minutes import ORDER, took

NOTES = "made"
RECORD = Path("reports/made.json")
"""In a checkout: by stage, its note and the checksums of its outputs, by their paths."""
ROOT = Path(__file__).parent.parent.parent
CODE = ("wsss", "pipeline")
"""Folders whose changes since the commit count; a run changes `params.yaml` and `dvc.lock` itself."""
UNCOMMITTED = "with changes"
"""What stands behind the commit where the code was changed since."""
LIBRARIES = ("torch", "numpy", "numba", "wsss")
DEVICE = "wsss.numeric.device"


@dataclass(frozen=True)
class Made:
    """`stage` made it, and ended at `time` (ISO, to the second, with the zone) after `seconds`, by the code of `commit`
    (empty: the code is of no checkout) with these `versions`; `processor`: its kind, or the GPU's. `closed`: the masks
    that could not be opened meanwhile; None: of a stage that may read masks. `here`: by a note of this machine, and not
    by the `RECORD` of the checkout.
    """

    stage: str
    time: str
    commit: str
    processor: str
    versions: dict[str, str]
    seconds: float
    closed: int | None
    here: bool = True

    @property
    def day(self) -> str:
        """``2026-11-30``."""
        return self.time[:10]


def commit() -> str:
    """Of the code that runs, ``03fb260 with changes`` where it is not the commit's; empty where it is no checkout's."""
    if not (ROOT / ".git").exists():  # git would find the repository that an installed package lies in
        return ""
    found = _git("rev-parse", "--short", "HEAD")
    changed = found and _git("status", "--porcelain", "--", *(f":/{name}" for name in CODE))
    return f"{found} {UNCOMMITTED}" if changed else found


def note_made(stage: str, code: str, closed: int | None, made: Iterable[tuple[Path, str]]) -> None:
    """Note that `stage` has made, by the commit `code`, these paths, with their checksums; of no stage of the pipeline,
    nothing. Never raises: a stage that has done its work does not end for a note.
    """
    if stage not in ORDER:
        return
    with suppress(Exception):
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        note = asdict(Made(stage, now, code, _processor(), versions(), round(took(stage), 1), closed))
        del note["here"]
        folder = scratch_root() / NOTES
        folder.mkdir(parents=True, exist_ok=True)
        outputs = {path.as_posix(): checksum for path, checksum in made}
        for checksum in outputs.values():
            write_text(folder / f"{checksum}.json", json.dumps(note, indent=1) + "\n")
        _record(note, outputs)


def _record(note: Mapping[str, object], made: Mapping[str, str]) -> None:
    """Put the stage's `note` into `RECORD` where it ran in a checkout and made its outputs. Who made the same bytes
    first stays: to run again what was published changes no file that git has.
    """
    own = all(path.startswith(("artifacts/", "reports/", "data/")) for path in made)
    if not own or not Path("dvc.yaml").is_file():
        return
    found = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    if found.get(note["stage"], {}).get("outputs") != dict(made):
        found[note["stage"]] = {**note, "outputs": dict(made)}
        ordered = {stage: found[stage] for stage in ORDER if stage in found}
        write_text(RECORD, json.dumps(ordered, indent=1, sort_keys=False) + "\n")


def read_made(checksum: str, near: Path) -> Made | None:
    """The note on what has this `checksum`, of this folder's runs or of those in a folder above `near`, else of their
    `RECORD`; None if there is none that can be read.
    """
    above = near.absolute().parents[:3]
    for folder in (scratch_root(), *(one / ".scratch" for one in above)):
        with suppress(OSError, ValueError, TypeError):
            return Made(**json.loads((folder / NOTES / f"{checksum}.json").read_text(encoding="utf-8")))
    for folder in (Path(), *above):
        with suppress(OSError, ValueError, TypeError, AttributeError):
            for entry in json.loads((folder / RECORD).read_text(encoding="utf-8")).values():
                if checksum in entry.pop("outputs").values():
                    return Made(**entry, here=False)
    return None


def recorded(root: Path) -> dict[str, dict[str, str]]:
    """By stage, what `RECORD` of the checkout `root` says that it has made: checksums by path; empty without one."""
    with suppress(OSError, ValueError, TypeError, AttributeError, KeyError):
        content = json.loads((root / RECORD).read_text(encoding="utf-8"))
        return {stage: dict(entry["outputs"]) for stage, entry in content.items()}
    return {}


def versions() -> dict[str, str]:
    """Of Python and of the libraries that compute, and of wsss, as far as they are installed."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _processor() -> str:
    """``Intel(R) Xeon(R) Processor, with bf16``: whether it has that decides what `precision: auto` is."""
    device = sys.modules.get(DEVICE)  # a stage that computes has loaded it
    elsewhere = os.environ.get("WSSS_EXECUTOR", "local")
    parts = [_kind()]
    if device is not None:
        chosen = device.device()
        if chosen.type != "cpu":
            gpu = sys.modules["torch"].cuda.get_device_name(chosen) if chosen.type == "cuda" else f"GPU of {_kind()}"
            parts = [gpu]
        parts.append("with bf16" if device.fast_bf16() else "without bf16")
    return ", ".join([*parts, *([f"and workers by {elsewhere}"] if elsewhere != "local" else [])])


def _kind() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _git(*arguments: str) -> str:
    # Without its locks: someone may be committing.
    command = ["git", "--no-optional-locks", "-C", str(ROOT), *arguments]
    with suppress(OSError):
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return ""
