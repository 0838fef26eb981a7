"""Pickles are read, never run: plain data and arrays exactly, everything else refused."""

from __future__ import annotations

import builtins
import copyreg
import functools
import operator
import os
import pickle
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gapdata.errors import FileError
from gapdata.files.pickle_survey import Refused
from gapdata.files.pickles import load_plain, read_pickle

PROTOCOLS = (2, 3, 4, 5)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.floats(allow_nan=False)
    | st.text(max_size=300)
    | st.binary(max_size=300)
)
PLAIN = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=5) | st.integers(-9, 999), inner, max_size=5)
    ),
    max_leaves=20,
)
DTYPES = hnp.integer_dtypes() | hnp.floating_dtypes(sizes=(32, 64)) | hnp.boolean_dtypes() | hnp.unicode_string_dtypes()


def numpy1(data: bytes) -> bytes:
    """The same pickle as numpy 1 writes it."""
    old = data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    return old.replace(b"\x8c\x16numpy.core.multiarray", b"\x8c\x15numpy.core.multiarray")


@settings(max_examples=50)
@given(value=PLAIN, protocol=st.sampled_from(PROTOCOLS))
def test_plain_data_is_read_exactly(value: Any, protocol: int) -> None:
    read = load_plain(pickle.dumps(value, protocol=protocol))
    assert repr(read) == repr(value)


@given(hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)), st.sampled_from(PROTOCOLS))
def test_arrays_are_read_exactly(array: np.ndarray, protocol: int) -> None:
    for value in (array, array.T, np.asfortranarray(array), array[..., None][::-1] if array.ndim else array):
        data = pickle.dumps({"array": value, "again": value}, protocol=protocol)
        expected = pickle.loads(data)["array"]  # noqa: S301 - our own bytes
        for read in (load_plain(data), load_plain(numpy1(data)) if protocol < 5 else load_plain(data)):
            assert type(read["array"]) is np.ndarray
            assert (read["array"].dtype, read["array"].shape) == (expected.dtype, expected.shape)
            assert read["array"].tobytes() == expected.tobytes()
            assert read["again"] is read["array"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_numpy_scalars_are_read_exactly(protocol: int) -> None:
    values = [np.float64(0.1), np.float32(-2.5), np.int64(-7), np.bool_(True), np.uint8(255)]
    read = load_plain(pickle.dumps(values, protocol=protocol))
    assert read == values
    assert [type(value) for value in read] == [type(value) for value in values]


def test_an_array_in_the_first_protocol_5_form_of_numpy_1_is_read() -> None:
    data = pickle.dumps(np.arange(6.0).reshape(2, 3), protocol=5).replace(
        b"\x8c\x13numpy._core.numeric", b"\x8c\x12numpy.core.numeric"
    )
    np.testing.assert_array_equal(load_plain(data), np.arange(6.0).reshape(2, 3))


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.reduced


class Evil(np.ndarray):
    """A foreign class of arrays."""


_RECONSTRUCT = np.ones(2).__reduce__()[0]
_SCALAR = np.float64(1).__reduce__()[0]
_FROM_BUFFER = np.ones(2).__reduce_ex__(5)[0]
F8 = np.dtype("f8")
STATE = (1, (2,), F8, False, b"\0" * 16)
HOSTILE = {
    "os.system": Calls(os.system, "exit 1"),
    "eval": Calls(builtins.eval, "1 + 1"),
    "exec": Calls(builtins.exec, "x = 1"),
    "getattr": Calls(getattr, "", "join"),
    "numpy.load": Calls(np.load, "x.npy"),
    "numpy.empty of 2**40": Calls(np.empty, 2**40),
    "partial": Calls(functools.partial, print),
    "attrgetter": Calls(operator.attrgetter, "system"),
    "copyreg": Calls(copyreg._reconstructor, object, object, None),  # type: ignore[attr-defined]
    "open": Calls(open, "/etc/passwd"),
    "foreign class": Calls(_RECONSTRUCT, Evil, (0,), b"b"),
    "huge reconstruct": Calls(_RECONSTRUCT, np.ndarray, (2**40,), b"b"),
    "shape larger than its bytes": Calls(
        _RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (2**40,), F8, False, b"\0" * 8)
    ),
    "negative shape": Calls(_RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (-1, -1), F8, False, b"\0" * 8)),
    "shape is no tuple": Calls(_RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, 2, F8, False, b"\0" * 16)),
    "bytes are a list": Calls(_RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (2,), F8, False, [1, 2])),
    "objects": np.array([1, "a"], dtype=object),
    "a structured dtype": np.zeros(2, dtype=[("a", "f8"), ("b", "i4")]),
    "a void dtype": np.zeros(2, dtype="V8"),
    "dtype state with flags": Calls(np.dtype, "V8", False, True, state=(3, "|", None, None, None, 8, 1, 63)),
    "dtype from a class": Calls(np.dtype, [("x", "O")]),
    "scalar of too few bytes": Calls(_SCALAR, F8, b"\0"),
    "buffer of another size": Calls(_FROM_BUFFER, b"\0" * 8, F8, (2**40,), "C"),
    "buffer of an array": Calls(_FROM_BUFFER, [1, 2], F8, (2,), "C"),
    "a class": np.float64,
    "an instance": Path("x"),
    "a set": {1, 2},
}


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE.keys())
def test_whatever_is_no_plain_data_is_refused(value: Any, protocol: int) -> None:
    with pytest.raises(Refused):
        load_plain(pickle.dumps({"data_list": [value]}, protocol=protocol))


def test_the_error_names_the_file_and_what_it_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "embodiedscan_infos_val.pkl"
    path.write_bytes(pickle.dumps(Calls(os.system, "exit 1"), protocol=4))
    with pytest.raises(FileError) as caught:
        read_pickle(path)
    assert str(caught.value) == (
        f"{path}: uses '{os.system.__module__}.system', which plain data and numpy arrays do not need; "
        "download the file again, from its own project"
    )


NESTED_KEY = b"}" + b"N" + b"\x85" * 100_000 + b"Ns"
DOUBLING_KEY = b"}" + b"K\x01" + b"q\x00h\x00\x86" * 60 + b"Ns"
BYTES = {
    "a key of 100,000 nested tuples": NESTED_KEY,
    "a key that doubles 60 times": DOUBLING_KEY,
    "a call of 100,000 nested tuples": b"N" + b"\x85" * 100_000 + b")R",
    "a memo entry of 2**32 - 1 that is missing": b"j\xff\xff\xff\xff",
    "bytes of 2**60": b"\x8e" + struct.pack("<Q", 2**60) + b"x",
    "a bytearray of 2**60": b"\x96" + struct.pack("<Q", 2**60) + b"x",
    "a text of 2**60": b"\x8d" + struct.pack("<Q", 2**60) + b"x",
    "no value": b"",
    "two values": b"NN",
    "an open mark": b"(N",
    "a mark too few": b"t",
    "an extension": b"\x82\x01",
    "a persistent id": b"Nq\x00Q",
    "a build of a list": b"]}b",
    "a global without a line": b"cos system",
    "a global cut off": b"cos\nsystem",
    "an instance": b"(cos\nsystem\no",
    "a new object": b"cbuiltins\nobject\n)\x81",
    "an item for a list": b"]NNs",
    "an odd number of items": b"}(Nu",
    "a text that is no UTF-8": b"\x8c\x01\xff",
    "out-of-band data": b"\x97",
}


@pytest.mark.parametrize("program", BYTES.values(), ids=BYTES.keys())
def test_hand_made_programs_are_refused(program: bytes) -> None:
    with pytest.raises(Refused):
        load_plain(b"\x80\x04" + program + b".")


def test_a_memo_index_costs_no_memory() -> None:
    assert load_plain(b"\x80\x02]r\xff\xff\xff\xffj\xff\xff\xff\xffa.")[0] is not None


@pytest.mark.parametrize("protocol", [0, 1])
def test_text_protocols_are_refused(protocol: int) -> None:
    with pytest.raises(Refused, match="not a pickle of protocol 2 to 5"):
        load_plain(pickle.dumps([1], protocol=protocol))


@given(st.binary(max_size=200), st.sampled_from(PROTOCOLS))
def test_random_bytes_are_read_or_refused(data: bytes, protocol: int) -> None:
    for program in (data, bytes([0x80, protocol]) + data + b"."):
        with suppress(Refused):
            load_plain(program)


GENUINE = pickle.dumps({"a": [np.eye(2), np.float32(3)], "b": {"c": ("x", b"y", 1.5, 70_000)}}, protocol=4)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(GENUINE) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_pickle_is_read_or_refused(changes: list[tuple[int, int]]) -> None:
    data = bytearray(GENUINE)
    for position, value in changes:
        data[position] = value
    with suppress(Refused):
        load_plain(bytes(data))


@pytest.mark.parametrize("size", range(0, len(GENUINE), 7))
def test_a_truncated_pickle_is_refused(size: int) -> None:
    with pytest.raises(Refused):
        load_plain(GENUINE[:size])


def test_dictionaries_are_handed_out_as_soon_as_they_are_filled() -> None:
    value = {"list": [{"keep": number, "drop": "x" * 50} for number in range(3)]}
    read = load_plain(pickle.dumps(value, protocol=4), lambda fields: fields.get("keep", fields))
    assert read == {"list": [0, 1, 2]}


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.pkl"
    path.write_bytes(pickle.dumps(b"x" * 100))
    with pytest.raises(FileError, match=r"large\.pkl: is too large: it has \d+ bytes, at most 50 are read"):
        read_pickle(path, limit=50)
