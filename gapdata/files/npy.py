"""Read NumPy's ``.npy`` without evaluating its header.

NumPy's own reader parses the header as Python, accepts object and structured dtypes, and allocates the memory for the
stated shape before it looks at the size of the file.
"""

from __future__ import annotations

import io
import math
import re
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

MAX_HEADER = 4096

_HEADER = re.compile(
    r"\{'descr': '(?P<dtype>[<>|=]?(?:[biuf]\d|S\d{1,3}|\?))', 'fortran_order': (?P<fortran>True|False), "
    r"'shape': \((?P<shape>|\d{1,20},|\d{1,20}(?:, \d{1,20}){1,3}),?\), ?\}\s*"
)


def read_header(file: IO[bytes]) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Read the header of an open ``.npy`` (format 1 to 3), after which the file is at its first value.

    Returns:
        Dtype, shape (at most four sides), and size of the header in bytes.

    Raises:
        ValueError: it is not the header of an array of numbers; the message says why.
    """
    dtype, shape, start, _ = _read_header(file)
    return dtype, shape, start


def read_array(data: bytes) -> NDArray[Any]:
    """Return the array of a whole ``.npy`` file, in either order of its axes.

    Raises:
        ValueError: it is not an array of numbers, or has more or fewer bytes than its header states.
    """
    dtype, shape, start, fortran = _read_header(io.BytesIO(data))
    count = math.prod(shape)
    if len(data) - start != count * dtype.itemsize:
        raise ValueError(
            f"has {len(data) - start} bytes for {count} values of {dtype}, expected {count * dtype.itemsize}"
        )
    return np.frombuffer(data, dtype=dtype, offset=start).reshape(shape, order="F" if fortran else "C")


def _read_header(file: IO[bytes]) -> tuple[np.dtype[Any], tuple[int, ...], int, bool]:
    magic = file.read(8)
    if len(magic) != 8 or magic[:6] != b"\x93NUMPY" or magic[6] not in (1, 2, 3):
        raise ValueError("it is not a .npy")
    width = 2 if magic[6] == 1 else 4
    length = int.from_bytes(file.read(width), "little")
    if length > MAX_HEADER:
        raise ValueError(f"its header has {length} bytes, at most {MAX_HEADER} are read")
    match = _HEADER.fullmatch(file.read(length).decode("latin-1"))
    if match is None:
        raise ValueError("its header does not describe an array of numbers")
    shape = tuple(int(side) for side in re.findall(r"\d+", match["shape"]))
    try:
        dtype = np.dtype(match["dtype"])
    except TypeError as error:
        raise ValueError("its header does not name a dtype") from error
    return dtype, shape, 8 + width + length, match["fortran"] == "True"
