"""The functions that a pickle may call: substitutes for those with which numpy pickles arrays, scalars and dtypes.

NumPy's own functions are not called with a pickle's arguments: ``dtype.__setstate__`` takes flags that make numpy treat
bytes as pointers, and ``_reconstruct`` takes any class. Here a dtype is one of a few plain kinds, an array is made of
as many bytes as its shape needs, and everything else is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from gapdata.files.pickle_survey import Refused

DTYPE_NAME = re.compile(r"\?|b1|[iu][1248]|f[248]|c(?:8|16)|[SU][0-9]{1,6}")
MAX_DIMENSIONS = 32


class PickledDtype:
    """A dtype between the call that makes it and the state that completes it."""

    __slots__ = ("dtype",)

    def __init__(self, name: Any) -> None:
        if not isinstance(name, str) or not DTYPE_NAME.fullmatch(name):
            raise Refused(
                f"holds an array of dtype {name!a:.40}: only numbers, booleans and fixed-length text are read"
            )
        self.dtype: np.dtype[Any] = np.dtype(name)

    def complete(self, state: Any) -> None:
        """Take the byte order of a dtype's state; structured and nested dtypes are refused."""
        if not isinstance(state, tuple) or len(state) not in (8, 9) or state[1] not in ("<", ">", "|", "="):
            raise Refused("holds a dtype with a malformed state")
        if any(part is not None for part in state[2:5]) or (len(state) == 9 and state[8] is not None):
            raise Refused("holds a structured dtype")
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class PickledArray(np.ndarray[Any, np.dtype[Any]]):
    """Stands for numpy's class of arrays, by which arrays are pickled and which :func:`reconstruct` expects."""


def reconstruct(*arguments: Any) -> np.ndarray[Any, np.dtype[Any]]:
    """Do ``numpy.core.multiarray._reconstruct(ndarray, (0,), b"b")``: make an empty array; its state follows."""
    if len(arguments) != 3 or arguments[0] is not PickledArray or arguments[1] != (0,):
        raise Refused("rebuilds something other than a plain numpy array")
    return np.empty((0,), dtype=np.int8)


def complete_array(array: np.ndarray[Any, np.dtype[Any]], state: Any) -> None:
    """Give an empty array its shape, dtype and bytes, in place: others may already refer to it."""
    if not isinstance(state, tuple) or len(state) != 5 or array.shape != (0,) or array.dtype != np.int8:
        raise Refused("holds an array with a malformed state")
    version, shape, dtype, fortran, content = state
    if version != 1 or not isinstance(dtype, PickledDtype) or not isinstance(fortran, bool):
        raise Refused("holds an array with a malformed state")
    _check_size(shape, dtype, content)
    array.__setstate__((1, shape, dtype.dtype, fortran, bytes(content)))  # type: ignore[arg-type]


def from_buffer(*arguments: Any) -> np.ndarray[Any, np.dtype[Any]]:
    """Do ``numpy.core.numeric._frombuffer(buffer, dtype, shape, order[, axis_order])``, for protocol 5."""
    if len(arguments) not in (4, 5) or not isinstance(arguments[1], PickledDtype):
        raise Refused("holds an array with malformed arguments")
    content, dtype, shape, order = arguments[:4]
    axes = arguments[4] if len(arguments) == 5 else None
    _check_size(shape, dtype, content)
    if not content:
        return np.empty(shape, dtype=dtype.dtype)
    flat = np.frombuffer(content, dtype=dtype.dtype)
    if axes is not None:
        if order != "K" or not isinstance(axes, tuple) or not all(type(axis) is int for axis in axes):
            raise Refused("holds an array with an unknown memory order")
        return flat.reshape(shape).transpose(axes)
    if type(order) is not str or order not in ("C", "F"):
        raise Refused("holds an array with an unknown memory order")
    return flat.reshape(shape, order="C" if order == "C" else "F")


def _check_size(shape: Any, dtype: PickledDtype, content: Any) -> None:
    if not isinstance(content, (bytes, bytearray)):
        raise Refused("holds an array with content that is not bytes")
    if not isinstance(shape, tuple) or len(shape) > MAX_DIMENSIONS:
        raise Refused("holds an array with a shape that is not a tuple, or with too many dimensions")
    if not all(type(side) is int and 0 <= side <= 2**40 for side in shape):
        raise Refused("holds an array with a shape that is not a tuple of sizes")
    # A side of zero makes an array of any size empty; the other sides must still be addressable.
    expected = math.prod(shape) * dtype.dtype.itemsize
    if expected != len(content) or math.prod(side for side in shape if side) > 2**40:
        raise Refused(f"holds an array of {len(content)} bytes, but its shape needs {expected}")


def scalar(*arguments: Any) -> Any:
    """Do ``numpy.core.multiarray.scalar(dtype, bytes)``."""
    if len(arguments) != 2 or not isinstance(arguments[0], PickledDtype):
        raise Refused("holds a numpy scalar with malformed arguments")
    dtype, content = arguments
    _check_size((1,), dtype, content)
    if not content:
        raise Refused("holds an empty numpy scalar")
    return np.frombuffer(content, dtype=dtype.dtype)[0]


def dtype_of(*arguments: Any) -> PickledDtype:
    """Do ``numpy.dtype(name, align, copy)``."""
    if not 1 <= len(arguments) <= 3 or not all(item in (0, 1) for item in arguments[1:]):
        raise Refused("holds a dtype with malformed arguments")
    return PickledDtype(arguments[0])


def encode(*arguments: Any) -> bytes:
    """Do ``_codecs.encode(text, "latin1")``, with which protocol 2 writes bytes."""
    if len(arguments) != 2 or not isinstance(arguments[0], str) or arguments[1] not in ("latin1", "latin-1"):
        raise Refused("encodes something other than bytes")
    return arguments[0].encode("latin-1")


def empty_bytes(*arguments: Any) -> bytes:
    """Do ``bytes()``, with which protocol 2 writes empty bytes."""
    if arguments:
        raise Refused("calls bytes with arguments")
    return b""


ALLOWED: Final[dict[tuple[str, str], Callable[..., Any]]] = {
    ("numpy", "ndarray"): PickledArray,
    ("numpy", "dtype"): dtype_of,
    ("_codecs", "encode"): encode,
    ("builtins", "bytes"): empty_bytes,
    ("__builtin__", "bytes"): empty_bytes,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): from_buffer for core in ("core", "_core")},
}
"""All names that a pickle may use, with their substitutes. Numpy 2 renamed its ``core`` to ``_core``."""
