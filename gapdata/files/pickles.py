"""Read pickles of plain data and numpy arrays without running them.

A pickle is a program for a stack machine that may call any function by name. With ``pickle.Unpickler`` and only some
names allowed, a pickle can still allocate 2**60 bytes, fill a sparse memo or nest keys until the interpreter crashes.
So this is a separate machine: about forty opcodes, checked by a survey of the file
(:mod:`gapdata.files.pickle_survey`), and ten functions in place of numpy's (:mod:`gapdata.files.pickled_arrays`). It
also hands out every dictionary as soon as it is filled, so that a file of hundreds of megabytes is reduced while it is
read. For 100,000 entries of images, all kept, it took 5.4 to 6.1 CPU seconds and 60 MB, with the file;
``pickle.load`` took 0.6 seconds and 172 MB. A build reads such a file once.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from gapdata.errors import FileError
from gapdata.files.given_file import read_whole
from gapdata.files.pickle_survey import CODES, Refused, survey
from gapdata.files.pickled_arrays import ALLOWED, PickledArray, PickledDtype, complete_array
from gapdata.files.storage import Location

MAX_BYTES = 2 << 30
MAX_KEY = 2**32  # larger integers can be chosen so that their hashes collide
FUNCTIONS = tuple({function for function in ALLOWED.values() if function is not PickledArray})

Finished = Callable[[dict[Any, Any]], Any]


def read_pickle(path: Location, finished: Finished | None = None, *, limit: int = MAX_BYTES) -> Any:
    """Read a pickle of protocol 2 to 5.

    It may hold None, booleans, numbers, texts, bytes, lists, tuples, dictionaries with texts or small integers as keys,
    and numpy arrays and scalars.

    Args:
        path: the file.
        finished: called with every dictionary when entries have been set (several times for a dictionary with more
            than a thousand); its result takes the dictionary's place.
        limit: the largest file that is read, in bytes.

    Raises:
        FileError: the file is damaged, too large, or holds anything else.
    """
    try:
        return load_plain(read_whole(path, limit), finished)
    except Refused as refusal:
        raise FileError(str(refusal), path=path, cure="download the file again, from its own project") from refusal


def load_plain(data: bytes, finished: Finished | None = None) -> Any:
    """Read a pickle as :func:`read_pickle` does, from bytes.

    Raises:
        Refused: the bytes are damaged, or hold anything else.
    """
    machine = _Machine(data, survey(data).reread, finished)
    try:
        return machine.run()
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, RecursionError, struct.error) as error:
        raise Refused(f"is damaged at byte {machine.position}: {type(error).__name__} {str(error)[:100]}") from error


class _Machine:
    """The stack, the memo and the position of a pickle that passed the survey. One method per opcode."""

    def __init__(self, data: bytes, reread: frozenset[int], finished: Finished | None) -> None:
        self.data = data
        self.position = 2
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.memoized = 0
        self.reread = reread
        self.finished = finished

    def run(self) -> Any:
        """Execute up to the STOP opcode."""
        handlers: list[Callable[[], None]] = [self._unknown] * 256
        for name, code in CODES.items():
            handler = getattr(self, f"_{name.lower()}", None)
            if handler is not None:
                handlers[code] = handler
        data, stop = self.data, CODES["STOP"]
        while (code := data[self.position]) != stop:
            self.position += 1
            handlers[code]()
        if len(self.stack) != 1 or self.marks:
            raise Refused(f"ends with {len(self.stack)} values instead of one")
        return self.stack[0]

    def _unknown(self) -> None:
        raise Refused(f"uses an unknown opcode at byte {self.position - 1}")

    def _take(self, width: int) -> int:
        """Return the next ``width`` bytes as an unsigned integer."""
        start = self.position
        self.position = start + width
        return int.from_bytes(self.data[start : start + width], "little")

    def _content(self, width: int) -> bytes:
        """Return the next bytes, after a length of ``width`` bytes."""
        count = self._take(width)
        start = self.position
        self.position = start + count
        return self.data[start : start + count]

    def _since_mark(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    # Constants

    def _none(self) -> None:
        self.stack.append(None)

    def _newtrue(self) -> None:
        self.stack.append(True)

    def _newfalse(self) -> None:
        self.stack.append(False)

    def _binint1(self) -> None:
        self.stack.append(self.data[self.position])
        self.position += 1

    def _binint2(self) -> None:
        self.stack.append(self._take(2))

    def _binint(self) -> None:
        value = self._take(4)
        self.stack.append(value - (1 << 32) if value >> 31 else value)

    def _long1(self) -> None:
        self.stack.append(int.from_bytes(self._content(1), "little", signed=True))

    def _binfloat(self) -> None:
        self.stack.append(struct.unpack_from(">d", self.data, self.position)[0])
        self.position += 8

    def _short_binunicode(self) -> None:
        end = self.position + 1 + self.data[self.position]
        self.stack.append(str(self.data[self.position + 1 : end], "utf-8", "surrogatepass"))
        self.position = end

    def _binunicode(self) -> None:
        self.stack.append(str(self._content(4), "utf-8", "surrogatepass"))

    def _binunicode8(self) -> None:
        self.stack.append(str(self._content(8), "utf-8", "surrogatepass"))

    def _short_binbytes(self) -> None:
        self.stack.append(self._content(1))

    def _binbytes(self) -> None:
        self.stack.append(self._content(4))

    def _binbytes8(self) -> None:
        self.stack.append(self._content(8))

    def _bytearray8(self) -> None:
        self.stack.append(bytearray(self._content(8)))

    # Containers

    def _mark(self) -> None:
        self.marks.append(len(self.stack))

    def _empty_tuple(self) -> None:
        self.stack.append(())

    def _tuple1(self) -> None:
        self.stack[-1] = (self.stack[-1],)

    def _tuple2(self) -> None:
        self.stack[-2:] = [(self.stack[-2], self.stack[-1])]

    def _tuple3(self) -> None:
        self.stack[-3:] = [(self.stack[-3], self.stack[-2], self.stack[-1])]

    def _tuple(self) -> None:
        self.stack.append(tuple(self._since_mark()))

    def _empty_list(self) -> None:
        self.stack.append([])

    def _append(self) -> None:
        item = self.stack.pop()
        self._top(list).append(item)

    def _appends(self) -> None:
        items = self._since_mark()
        self._top(list).extend(items)

    def _empty_dict(self) -> None:
        self.stack.append({})

    def _setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def _setitems(self) -> None:
        self._set(self._since_mark())

    def _set(self, items: list[Any]) -> None:
        target = self._top(dict)
        keys = items[::2]
        for key in keys:
            # To hash another key is to walk through it, which can take any time for a nested tuple.
            if type(key) is not str and not (type(key) is int and -MAX_KEY < key < MAX_KEY):
                raise Refused(
                    f"has a dictionary key of type {type(key).__name__}: only texts and small integers are read"
                )
        target.update(zip(keys, items[1::2], strict=True))
        if self.finished is not None:
            self.stack[-1] = self.finished(target)

    def _top(self, kind: type[Any]) -> Any:
        target = self.stack[-1]
        if type(target) is not kind:
            raise Refused(f"adds items to a {type(target).__name__} as if it were a {kind.__name__}")
        return target

    # Memo

    def _binput(self) -> None:
        self._remember(self._take(1))

    def _long_binput(self) -> None:
        self._remember(self._take(4))

    def _memoize(self) -> None:
        self._remember(self.memoized)

    def _remember(self, index: int) -> None:
        self.memoized += 1
        if index in self.reread:
            self.memo[index] = self.stack[-1]

    def _binget(self) -> None:
        self.stack.append(self.memo[self.data[self.position]])
        self.position += 1

    def _long_binget(self) -> None:
        self.stack.append(self.memo[self._take(4)])

    def _frame(self) -> None:
        self.position += 8

    # Numpy

    def _global(self) -> None:
        end = self.data.index(b"\n", self.data.index(b"\n", self.position) + 1)
        module, name = self.data[self.position : end].decode("ascii", "replace").split("\n")
        self.position = end + 1
        self._find(module, name)

    def _stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self._find(module, name)

    def _find(self, module: Any, name: Any) -> None:
        found = ALLOWED.get((module, name)) if type(module) is str and type(name) is str else None
        if found is None:
            wanted = f"{module}.{name}" if type(module) is str and type(name) is str else "something without a name"
            raise Refused(f"uses {wanted!a:.100}, which plain data and numpy arrays do not need")
        self.stack.append(found)

    def _reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        # Compared by identity, because looking it up in a set would hash an unknown object.
        if type(arguments) is not tuple or not any(function is allowed for allowed in FUNCTIONS):
            raise Refused("calls something other than an allowed function")
        self.stack.append(function(*arguments))

    def _build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is np.ndarray:
            complete_array(target, state)
        elif type(target) is PickledDtype:
            target.complete(state)
        else:
            raise Refused(f"sets the state of a {type(target).__name__}, which only arrays and dtypes may have")
