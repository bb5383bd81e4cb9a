"""Unpickler for files from strangers: numbers, text, plain containers and numeric numpy arrays, nothing else.

A pickle is a program. The names that it may ask for are listed here, and none of them gives the real object: each
gives a stand-in that cannot be altered and does one harmless thing. Before the program runs, its opcodes are walked
through without being executed, so that a few bytes cannot ask for the machine's memory.
"""

import math
import pickle
import pickletools
import re
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from tasks.errors import WorkflowError
from tasks.sources.base import SourceFile

LARGEST = 4 * 2**30  # bytes of a file; a pickle has to fit into memory as a whole
_MOST_STEPS = 50_000_000
_NUMERIC = re.compile(r"[<=|]?(b1|[iu][1248]|f[248])")
_MEMO = {"PUT", "BINPUT", "LONG_BINPUT"}
_LENGTH_BYTES = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_STEPS = {ord(step.code): step for step in pickletools.opcodes}


class _Refused(Exception):
    """Content that has no place in a file of features; the message completes "refused, it ..."."""


def unpickle(file: SourceFile) -> Any:
    """Read a file in this process, see `load`; `tasks.sources.pickles.isolated` does so in another one."""
    check_size(file)
    fs, path = file.filesystem
    with fs.open(path, "rb") as opened:
        return load(opened, file.size, file.url)


def check_size(file: SourceFile) -> None:
    """Raises: WorkflowError: the file is larger than any that is read."""
    if file.size > LARGEST:
        raise WorkflowError(f"{file.url}: {file.size:,} bytes, and a pickle of at most {LARGEST:,} is read")


def load(opened: BinaryIO, size: int, url: str) -> Any:
    """Read a pickle. Arrays stay numpy's; scalars, `OrderedDict` and `defaultdict` become Python's numbers and dicts.

    Args:
        opened: where it is read from.
        size: its bytes.
        url: what it is called in errors.

    Raises:
        WorkflowError: the file asks for anything else, for memory out of proportion to its size, or is incomplete.
    """
    try:
        _walk(opened, size)
        opened.seek(0)
        # Python 2 wrote arrays as text; latin1 gives their bytes back.
        return _Unpickler(opened, encoding="latin1").load()
    except _Refused as refused:
        raise WorkflowError(
            f"{url}: refused, it {refused}\n"
            "  allowed: numbers, text, lists, tuples, sets, dicts and numeric numpy arrays; nothing else of it was run"
        ) from None
    except (OSError, WorkflowError, MemoryError):
        raise
    except Exception as error:  # the pickle decides which one
        why = f"{type(error).__name__}: {error}"[:200]
        raise WorkflowError(f"{url}: not a whole pickle of numbers, text and containers\n  {why!a}") from None


def _walk(file: BinaryIO, size: int) -> None:
    """Walk through every opcode without executing it.

    Raises:
        _Refused: a length, memo number or count of steps out of proportion.
        ValueError: not a pickle, or not a whole one.
    """
    for count in range(_MOST_STEPS):
        code = file.read(1)
        step = _STEPS.get(code[0]) if code else None
        if step is None:
            raise ValueError(f"it has an unknown step {code!r}" if code else "it ends before it is complete")
        if step.name == "STOP":
            return
        if step.name.startswith("EXT"):
            raise _Refused("asks for an object of the extension registry (copyreg)")
        number = _pass_over(file, step, size)
        if (step.name in _MEMO and not 0 <= number <= count) or (step.name == "FRAME" and number > size):
            raise _Refused(f"asks for memory out of proportion to its size ({step.name} {number})")
    raise _Refused(f"takes more than {_MOST_STEPS:,} steps")


def _pass_over(file: BinaryIO, step: pickletools.OpcodeInfo, size: int) -> int:
    """Move past an opcode's argument; return it where it is a memo number or a length."""
    width = step.arg.n if step.arg is not None else 0
    if width == pickletools.UP_TO_NEWLINE:
        line = file.readline()
        if step.name in ("GLOBAL", "INST"):
            file.readline()
        return int(line) if step.name == "PUT" else 0
    if width >= 0:
        return int.from_bytes(file.read(width), "little")
    length = int.from_bytes(file.read(_LENGTH_BYTES[width]), "little")
    if length > size:
        raise _Refused(f"asks for memory out of proportion to its size ({step.name} {length})")
    file.seek(length, 1)
    return 0


class _Stand:
    """Stand-in for a name: it can be called, where that is allowed, and cannot be altered."""

    __slots__ = ("_do", "_name")

    def __init__(self, name: str, do: Callable[..., Any] | None) -> None:
        self._name, self._do = name, do

    def __call__(self, *arguments: Any) -> Any:
        if self._do is None:
            raise _Refused(f"calls {self._name}")
        return self._do(*arguments)

    def __setstate__(self, state: object) -> None:
        raise _Refused(f"alters {self._name}")


class _DType:
    """Stand-in for `numpy.dtype`, of numbers only."""

    def __init__(self, code: object, *_: object) -> None:
        if not isinstance(code, str) or not _NUMERIC.fullmatch(code):
            shown = ascii(code[:20]) if isinstance(code, str) else type(code).__name__
            raise _Refused(f"asks for numpy.dtype({shown}): only numeric arrays are allowed")
        self.numpy = np.dtype(code)

    def __setstate__(self, state: object) -> None:
        match state:
            case (int(), "<" | "=" | "|", None, None, None, int(), int(), int(), *_):
                return
        raise _Refused("asks for a numpy.dtype with parts, or of another byte order: only plain ones are allowed")


class _Array(np.ndarray[Any, np.dtype[Any]]):
    """Array that accepts checked content only."""

    def __setstate__(self, state: Any, /) -> None:
        match state:
            case (int(), tuple() as shape, _DType() as dtype, bool() | int() as fortran, bytes() | str() as raw):
                content = raw if isinstance(raw, bytes) else raw.encode("latin1")
                _check_shape(shape, dtype, len(content))
                checked: Any = (1, shape, dtype.numpy, bool(fortran), content)
                super().__setstate__(checked)
                return
        raise _Refused("holds a numpy array that is not one of plain numbers")


def _check_shape(shape: Any, dtype: _DType, size: int) -> None:
    whole = isinstance(shape, tuple) and len(shape) <= 3 and all(isinstance(n, int) and n >= 0 for n in shape)
    if not whole or math.prod(shape) * dtype.numpy.itemsize != size:
        raise _Refused("holds a numpy array whose shape does not fit its content")


def _reconstruct(*_: object) -> npt.NDArray[Any]:
    return np.ndarray.__new__(_Array, (0,), np.uint8)


def _from_buffer(raw: bytes | bytearray, dtype: _DType, shape: Any, order: Any) -> npt.NDArray[Any]:
    if not isinstance(raw, bytes | bytearray) or not isinstance(dtype, _DType) or order not in ("C", "F"):
        raise _Refused("holds a numpy array that is not one of plain numbers")
    _check_shape(shape, dtype, len(raw))
    return np.frombuffer(raw, dtype.numpy).reshape(shape, order=order)


def _scalar(dtype: _DType, raw: bytes | str) -> int | float | bool:
    content = raw.encode("latin1") if isinstance(raw, str) else raw
    if not isinstance(dtype, _DType) or not isinstance(content, bytes):
        raise _Refused("holds a numpy scalar that is not a number")
    value: int | float | bool = np.frombuffer(content, dtype.numpy, 1)[0].item()
    return value


def _encode(text: str, encoding: str) -> bytes:
    """Stand-in for `_codecs.encode`: Python 3 writes bytes so where the format has only text."""
    if not isinstance(text, str) or encoding != "latin1":
        raise _Refused("calls _codecs.encode with something else than bytes as text")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""


def _default_dict(*_: object) -> dict[Any, Any]:
    return {}


_ALLOWED: dict[str, Callable[..., Any] | None] = {
    "builtins.set": set,
    "builtins.frozenset": frozenset,
    "builtins.bytes": _no_bytes,  # the old way to write empty ones
    "collections.OrderedDict": dict,
    "collections.defaultdict": _default_dict,
    # Only as what a defaultdict makes; they are never called.
    **dict.fromkeys(f"builtins.{name}" for name in ("list", "dict", "tuple", "int", "float", "str", "bool")),
    "_codecs.encode": _encode,
    "numpy.ndarray": None,
    "numpy.dtype": _DType,
    "numpy.core.multiarray._reconstruct": _reconstruct,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _from_buffer,
}
_STANDS = {name: _Stand(name, do) for name, do in _ALLOWED.items()}
_RENAMED = {
    "__builtin__": "builtins",
    "numpy._core.multiarray": "numpy.core.multiarray",
    "numpy._core.numeric": "numpy.core.numeric",
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        stand = _STANDS.get(f"{_RENAMED.get(module, module)}.{name}")
        if stand is None:
            raise _Refused(f"asks for {ascii(f'{module}.{name}'[:100])[1:-1]}")
        return stand
