"""Open shards: a few at a time, so that neither open files nor memory grow with the data set."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import h5py

from wsss.stores.hdf5 import open_again

MOST = 4
"""Shards of a store that are open at once: photos are read by their ids, where one is enough, or in a random order,
where no number helps."""


class OpenShards:
    """The shards of one store that are open in this process, at most `most`; the one unused for longest is closed.

    A shard is checked when it is opened first, and then only if its file is another one by now: a training reads its
    photos in a random order, and opens shards all the time.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._files: OrderedDict[Path, h5py.File] = OrderedDict()
        self._checked: dict[Path, tuple[int, ...]] = {}

    def __len__(self) -> int:
        return len(self._files)

    def get(self, path: Path, open_first: Callable[[Path], h5py.File], remedy: str) -> h5py.File:
        """The open file `path`. `open_first` opens it with all checks, and its errors are raised."""
        file = self._files.pop(path, None)
        if file is None:
            while len(self._files) >= self.most:
                self._files.popitem(last=False)[1].close()
            state = _state(path)
            known = state and self._checked.get(path) == state
            file = open_again(path, remedy) if known else open_first(path)
            self._checked[path] = state
        self._files[path] = file
        return file

    def __reduce__(self) -> tuple[type[OpenShards], tuple[int]]:
        # Open files cannot be sent to worker processes: each opens, and checks, its own.
        return OpenShards, (self.most,)


def _state(path: Path) -> tuple[int, ...]:
    """Changes whenever the file does; empty where there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
