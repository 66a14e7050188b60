"""`cls_labels.npy`: a pickled dict of id → one-hot vector, read without letting the pickle run anything.

A pickle is a program. This unpickler knows five names, and all of them lead to the inert stand-ins below: not
even numpy's own constructors, which trust their input, see what the file says. A tuple may hold another twice, which
holds another twice, and so on: 40 of them are 300 bytes, and a million million values to whoever hashes, compares or
prints the outermost. So nothing but numbers and text is used as a key, and every stand-in looks at types first.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from wsss.core.errors import UserError
from wsss.data.codec import read_file

_NUMBERS = frozenset(("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"))
_REFUSED = (
    pickle.ADDITEMS,
    pickle.FROZENSET,
    pickle.EMPTY_SET,
    pickle.NEWOBJ,
    pickle.NEWOBJ_EX,
    pickle.INST,
    pickle.OBJ,
)
"""Operations that no file of one-hot vectors needs, and that hash their operands or make other things."""
MAX_FILE = 200_000_000
"""Bytes: of a million photos with 20 classes, as numpy pickles them."""
MAX_VECTOR = 4096
"""Values of one vector, or bytes that spell it: 254 classes and the background, 8 bytes each, are half of it."""
_FIX = "use the cls_labels.npy of a source you trust, or a CSV of tags"


class _Dtype:
    """Stand-in of `numpy.dtype`: a plain type of number, or object for the box around the dict."""

    def __init__(self, code: object, *flags: object) -> None:
        if not isinstance(code, str) or (code not in _NUMBERS and code != "O8"):
            raise pickle.UnpicklingError(f"it holds an array of type {_shown(code)}")
        self.code = code

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.code = (">" if isinstance(state[1], str) and state[1] == ">" else "") + self.code


class _Array:
    """Stand-in of `numpy.ndarray`."""

    values: Any = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, _, kind, _, data = state
        if not isinstance(kind, _Dtype):
            raise pickle.UnpicklingError("an array without a type")
        if kind.code == "O8":
            (self.values,) = data
        elif isinstance(data, (str, bytes, bytearray)):
            # Python 2 wrote bytes as text.
            self.values = np.frombuffer(_latin1(data) if isinstance(data, str) else data, kind.code)
        else:
            raise pickle.UnpicklingError("an array without data")


def _reconstruct(kind: object, shape: object, code: object) -> _Array:
    return _Array()


def _frombuffer(data: bytes, kind: _Dtype, shape: tuple[int, ...], order: str) -> _Array:
    array = _Array()
    array.__setstate__((1, shape, kind, False, data))
    return array


def _encode(text: object, encoding: object) -> bytes:
    """Stand-in of `_codecs.encode`, by which old pickles spell bytes."""
    if not isinstance(encoding, str) or encoding != "latin1" or not isinstance(text, str):
        raise pickle.UnpicklingError(f"text in encoding {_shown(encoding)}")
    return _latin1(text)


@lru_cache(maxsize=65536)
def _latin1(text: str) -> bytes:
    """Kept, because a file may refer to one text a million times."""
    if len(text) > MAX_VECTOR:
        raise pickle.UnpicklingError(f"a vector of {len(text)} bytes")
    return text.encode("latin-1")


def _shown(value: object) -> str:
    return repr(value[:40]) if isinstance(value, str) else f"a {type(value).__name__}"


_ALLOWED: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("multiarray", "_reconstruct"): _reconstruct,
    ("numeric", "_frombuffer"): _frombuffer,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle._Unpickler):
    """Python's own, and not that of C: here the operations that hash something can be replaced."""

    stack: list[Any]
    pop_mark: Callable[[], list[Any]]
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        code: run for code, run in pickle._Unpickler.dispatch.items() if bytes([code]) not in _REFUSED
    }

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.stack[-1][_plain_key(key)] = value

    def load_setitems(self) -> None:
        items = self.pop_mark()
        for key, value in zip(items[::2], items[1::2], strict=True):
            self.stack[-1][_plain_key(key)] = value

    def load_dict(self) -> None:
        items = self.pop_mark()
        self.stack.append({_plain_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)})

    dispatch[pickle.DICT[0]] = load_dict
    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems

    def find_class(self, module: str, name: str) -> Any:
        # numpy 2 renamed `numpy.core` to `numpy._core`.
        short = module.removeprefix("numpy._core.").removeprefix("numpy.core.")
        try:
            return _ALLOWED[short, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


def _plain_key(key: object) -> str | int:
    if not isinstance(key, (str, int)):
        raise pickle.UnpicklingError(f"an id that is {_shown(key)}")
    return key


def read_onehot(path: Path, classes: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Tags by id. Integer keys, as some authors write ids, become text: ``2007000032``.

    `classes` has the background first; vectors hold K values, or K + 1 with the background. Raises
    `UserError` if the file holds anything but numbers by id.
    """
    data = read_file(path, MAX_FILE)
    try:
        return {str(name): _tags(path, str(name), _vector(value), classes) for name, value in _load(data).items()}
    except UserError:
        raise
    # A hostile pickle can make the unpickler raise nearly anything.
    except Exception as error:
        raise UserError(path, f"refused: not a plain dict of one-hot vectors ({error})", _FIX) from error


def _load(data: bytes) -> dict[str | int, Any]:
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
    return box.values


def _vector(value: object) -> np.ndarray:
    if isinstance(value, _Array):
        value = value.values
    if isinstance(value, list) and all(isinstance(number, (bool, int, float)) for number in value):
        value = np.array(value, float)
    if not isinstance(value, np.ndarray) or value.size > MAX_VECTOR:
        raise TypeError(f"a vector that is {_shown(value)}")
    return value.astype(float)


def _tags(path: Path, name: str, vector: np.ndarray, classes: tuple[str, ...]) -> tuple[str, ...]:
    foreground = classes[1:]
    values = vector.ravel()[-len(foreground) :]
    if vector.size not in (len(foreground), len(classes)) or not np.isin(values, (0, 1)).all():
        found = f"{vector.size} values {np.unique(vector)[:5]}"
        what = f"{name!r}: found {found}, expected {len(foreground)}, each 0 or 1"
        raise UserError(path, what, "correct dataset.classes, or the file")
    return tuple(tag for tag, value in zip(foreground, values, strict=True) if value)
