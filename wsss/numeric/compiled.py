"""Compiles numeric loops with numba, and keeps the machine code in the user's cache, for all checkouts."""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from wsss.core.atomic import write_bytes
from wsss.core.errors import WsssError
from wsss.core.packages import missing_package
from wsss.core.system import lock_file

try:
    import llvmlite
    import numba
except ModuleNotFoundError:  # what calls no loop works without it
    INSTALLED = False
else:
    INSTALLED = True

F = TypeVar("F", bound=Callable[..., Any])

OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}
"""The order of sums is that of the code: no `parallel`, and `fastmath` may only fuse a product with a sum."""

_turn = threading.RLock()
_held: set[Path] = set()
"""Folders that this process has to itself; changed by the thread whose turn it is."""


def compiled(function: F) -> F:
    """Machine code of `function`, made at its first call and kept on disk; it runs without the GIL.

    numba finds kept code by the path of the function's file. So that every checkout finds it, the function is said to
    stand in a copy of its file, in a folder that is named by the content: of that file, which must not use any other
    file of ours (a test checks that), and of this one, so that other options compile it anew. The folder lies in
    `NUMBA_CACHE_DIR`, else in the user's cache, else in the package; where none can be written, each process compiles
    for itself. Without numba, the call raises `EnvError`.
    """
    if not INSTALLED:
        return _not_compiled(function)
    njit: Any = numba.njit
    copy = _copy_of(Path(inspect.getfile(function)))
    try:
        if copy is not None:
            function.__code__ = function.__code__.replace(co_filename=str(copy))
        machine_code: Any = njit(cache=copy is not None, **OPTIONS)(function)
    except RuntimeError:  # "cannot cache function: no locator available"
        copy, machine_code = None, njit(**OPTIONS)(function)
    if copy is not None:
        machine_code.compile = _one_by_one(machine_code.compile, copy.parent)
    made: F = machine_code
    return made


def _not_compiled(function: F) -> F:
    @functools.wraps(function)
    def refuse(*_: Any, **__: Any) -> Any:
        raise missing_package("the dense CRF (leave it out: --no-crf)", "numba")

    made: Any = refuse
    return made


def _one_by_one(compile_: Callable[[Any], Any], folder: Path) -> Callable[[Any], Any]:
    """`compile_`, by one process at a time.

    Two that keep code of one function at once could each take the other's for their own: numba numbers the files of
    its signatures. And the second one finds what the first one has made.
    """

    def compile_alone(signature: Any) -> Any:
        with _alone(folder):
            return compile_(signature)

    return compile_alone


@functools.cache
def _copy_of(source: Path) -> Path | None:
    """A copy of `source` in a folder of its own that can be written; None where there is no such place."""
    content = source.read_bytes()
    parts = [content, Path(__file__).read_bytes()]
    parts += [text.encode() for text in (numba.__version__, llvmlite.__version__)]
    name = hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:16]
    for root in _roots():
        copy = root / f"{source.stem}-{name}" / source.name
        try:
            if not copy.exists() or copy.read_bytes() != content:
                write_bytes(copy, content)
            if os.access(copy.parent, os.W_OK):
                return copy
        except (OSError, WsssError):
            continue
    return None


def _roots() -> Iterator[Path]:
    config: Any = numba.config
    if config.CACHE_DIR:
        yield Path(config.CACHE_DIR)
    with suppress(RuntimeError):  # nobody's home is known
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wsss" / "numba"
    yield Path(__file__).parent / "__pycache__"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While inside, no other thread and no other process is inside with the same `folder`."""
    with _turn, ExitStack() as stack:
        if folder not in _held:  # else a function is being compiled that another one calls
            with suppress(OSError):  # a folder that is gone, or a file system without locks
                lock = stack.enter_context((folder / "lock").open("w"))
                lock_file(lock, wait=True)
            _held.add(folder)
            stack.callback(_held.discard, folder)
        yield
