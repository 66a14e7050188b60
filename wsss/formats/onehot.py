"""`cls_labels.npy`: a pickled dict of id → one-hot vector, read without letting the pickle run anything.

A pickle is a program. This unpickler knows five names, and all of them lead to the inert stand-ins below: not
even numpy's own constructors, which trust their input, see what the file says.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wsss.core.errors import UserError
from wsss.data.codec import read_file

_NUMBERS = frozenset(("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"))
_FIX = "use the cls_labels.npy of a source you trust, or a CSV of tags"


class _Dtype:
    """Stand-in of `numpy.dtype`: a plain type of number, or object for the box around the dict."""

    def __init__(self, code: str, *flags: object) -> None:
        if code not in _NUMBERS and code != "O8":
            raise pickle.UnpicklingError(f"it holds an array of type {code!r}")
        self.code = code

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.code = (">" if state[1] == ">" else "") + self.code


class _Array:
    """Stand-in of `numpy.ndarray`."""

    values: Any = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, _, kind, _, data = state
        if kind.code == "O8":
            (self.values,) = data
        else:
            # Python 2 wrote bytes as text.
            raw = data.encode("latin-1") if isinstance(data, str) else data
            self.values = np.frombuffer(raw, kind.code)


def _reconstruct(kind: object, shape: object, code: object) -> _Array:
    return _Array()


def _frombuffer(data: bytes, kind: _Dtype, shape: tuple[int, ...], order: str) -> _Array:
    array = _Array()
    array.__setstate__((1, shape, kind, False, data))
    return array


def _encode(text: str, encoding: str) -> bytes:
    """Stand-in of `_codecs.encode`, by which old pickles spell bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"encoding {encoding!r}")
    return text.encode("latin-1")


_ALLOWED: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("multiarray", "_reconstruct"): _reconstruct,
    ("numeric", "_frombuffer"): _frombuffer,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        # numpy 2 renamed `numpy.core` to `numpy._core`.
        short = module.removeprefix("numpy._core.").removeprefix("numpy.core.")
        try:
            return _ALLOWED[short, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


def read_onehot(path: Path, classes: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Tags by id. Integer keys, as some authors write ids, become text: ``2007000032``.

    `classes` has the background first; vectors hold K values, or K + 1 with the background. Raises
    `UserError` if the file holds anything but numbers by id.
    """
    data = read_file(path)
    try:
        labels = _load(data)
    # A hostile pickle can make the unpickler raise nearly anything.
    except Exception as error:
        raise UserError(path, f"refused: not a plain dict of one-hot vectors ({error})", _FIX) from error
    return {name: _tags(path, name, vector, classes) for name, vector in labels.items()}


def _load(data: bytes) -> dict[str, np.ndarray]:
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(stream)
    if shape != () or dtype.kind != "O":
        raise ValueError(f"found an array of shape {shape} and type {dtype}")
    body = stream.read()
    for operation, argument, _ in pickletools.genops(body):
        # The unpickler would allocate a table up to the largest memo number.
        if operation.name in ("PUT", "LONG_BINPUT") and int(argument or 0) > len(body):
            raise pickle.UnpicklingError("a memo number beyond the file's size")
    box = _Unpickler(io.BytesIO(body), encoding="latin1").load()
    if not isinstance(box, _Array) or not isinstance(box.values, dict):
        raise TypeError("it holds no dict")
    return {str(name): np.asarray(getattr(array, "values", array), float) for name, array in box.values.items()}


def _tags(path: Path, name: str, vector: np.ndarray, classes: tuple[str, ...]) -> tuple[str, ...]:
    foreground = classes[1:]
    values = vector.ravel()[-len(foreground) :]
    if vector.size not in (len(foreground), len(classes)) or not np.isin(values, (0, 1)).all():
        found = f"{vector.size} values {np.unique(vector)[:5]}"
        what = f"{name!r}: found {found}, expected {len(foreground)}, each 0 or 1"
        raise UserError(path, what, "correct dataset.classes, or the file")
    return tuple(tag for tag, value in zip(foreground, values, strict=True) if value)
