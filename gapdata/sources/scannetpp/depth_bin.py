"""Read ``iphone/depth.bin`` of ScanNet++: the LiDAR's depth images in one file, in three encodings that look alike.

Images have 192 rows and 256 columns, numbers are little-endian, and 0 means no reading:

- ``stream``: the whole file is one raw Deflate stream (RFC 1951) of float32 metres;
- ``lz4``: for each image its number of bytes as uint32, and an LZ4 block of uint16 millimetres;
- ``deflate``: likewise, and a raw Deflate stream of float32 metres.

The app that recorded the scans changed from the last to LZ4 at the end of 2022, so all of them occur. A file of blocks
is one whose first block unpacks to exactly one image. A stream does not have an index: it is inflated in order, and
its state is kept now and then, so that going back costs little.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from gapdata.files.object_store import ObjectPath
from gapdata.files.storage import Location, RangedFile, open_ranged

Encoding = Literal["stream", "lz4", "deflate"]
WIDTH, HEIGHT = 256, 192
MILLIMETRE_BYTES = 2 * WIDTH * HEIGHT
METRE_BYTES = 4 * WIDTH * HEIGHT
LARGEST = np.float32(65.5)
"""Metres beyond which 16 bits of millimetres do not reach."""
SIZE_BYTES = 4
MAX_BLOCK = 1 << 20
"""Bytes of the largest block: what cannot be compressed grows by less than a hundredth."""
CHUNK = 1 << 18
"""Bytes of a stream that are read at once."""
WINDOW = 8 << 20
"""Bytes of a store's object that are read at once; a frame takes about 60,000."""
FIRST_WINDOW = 1 << 20
"""The same when a file is opened, of which planning needs the first image only."""
KEPT_EVERY = 100
"""Images of a stream between two states that are kept; each takes about 50 kB."""


class DepthFile(Protocol):
    """A ``depth.bin`` that is open."""

    encoding: Encoding
    count: int | None
    """How many images it holds; ``None`` where only reading all of it would tell."""
    cut_off: bool
    """Whether it is known to end within an image."""

    def image(self, index: int) -> NDArray[np.uint16]:
        """Return an image, (192, 256) uint16 millimetres, 0 without a reading; empty behind the last image.

        Raises:
            ValueError: the file is cut off before, or the image is damaged; the message says which.
            OSError: the disk fails.
            StoreError: the store fails.
        """
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def open_depth(place: Location) -> DepthFile:
    """Open a ``depth.bin`` of any encoding.

    On a disk the sizes of all blocks are read, four bytes each, so that the number of images is known; those of a large
    object in a store are read as they are needed.

    Raises:
        ValueError: it is neither of the encodings.
        OSError: it is missing or may not be read.
        StoreError: the store fails.
    """
    file: RangedFile = open_ranged(place, scattered=True)
    try:
        at_once = not isinstance(place, ObjectPath) or file.size <= WINDOW
        file = _Windowed(file) if isinstance(place, ObjectPath) else file
        encoding = _encoding(file)
        return StreamedDepth(file) if encoding == "stream" else BlockedDepth(file, encoding, at_once=at_once)
    except BaseException:
        file.close()
        raise


class BlockedDepth:
    """Images in blocks of their own, each after its size.

    Args:
        file: open; it is closed with this.
        encoding: of the blocks.
        at_once: whether to find all blocks now.

    Attributes:
        cut_off: whether the file ends within a block, or with something else, as far as that is known.
    """

    def __init__(self, file: RangedFile, encoding: Literal["lz4", "deflate"], *, at_once: bool) -> None:
        self.encoding: Encoding = encoding
        self.count: int | None = None
        self.cut_off = False
        self._file = file
        self._starts: list[int] = []  # of the blocks, after their sizes
        self._end = 0  # of the blocks that are known
        if at_once:
            self._find(None)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def image(self, index: int) -> NDArray[np.uint16]:
        """Return an image, (192, 256) uint16 millimetres; see :meth:`DepthFile.image`."""
        self._find(index)
        if index >= len(self._starts):
            if self.cut_off:
                raise ValueError(f"is cut off after {len(self._starts)} images")
            return np.zeros((HEIGHT, WIDTH), dtype=np.uint16)
        following = self._starts[index + 1] - SIZE_BYTES if index + 1 < len(self._starts) else self._end
        data = self._file.read_at(self._starts[index], following - self._starts[index])
        image = _unpacked(data, self.encoding)
        if image is None:
            raise ValueError(f"has a damaged block of {len(data)} bytes for image {index}")
        return image

    def _find(self, index: int | None) -> None:
        """Find the blocks up to one, or all."""
        while self.count is None and (index is None or len(self._starts) <= index):
            size = int.from_bytes(self._file.read_at(self._end, SIZE_BYTES), "little")
            start = self._end + SIZE_BYTES
            if not 0 < size <= MAX_BLOCK or start + size > self._file.size:
                # What follows damage cannot be found; the images before it are as good as ever.
                self.count, self.cut_off = len(self._starts), self._end != self._file.size
                return
            self._starts.append(start)
            self._end = start + size


class StreamedDepth:
    """Images in one raw Deflate stream, which is inflated in order.

    Args:
        file: open; it is closed with this.
    """

    encoding: Encoding = "stream"
    cut_off = False

    def __init__(self, file: RangedFile) -> None:
        self.count: int | None = None
        self._file = file
        self._inflater: Any = zlib.decompressobj(-zlib.MAX_WBITS)
        self._at = 0  # byte of the file that the inflater needs next
        self._next = 0  # image that it gives next
        self._kept: list[tuple[int, int, Any]] = [(0, 0, self._inflater.copy())]  # image, byte, inflater before both
        self._last: tuple[int, bytes] = (-1, b"")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def image(self, index: int) -> NDArray[np.uint16]:
        """Return an image, (192, 256) uint16 millimetres; see :meth:`DepthFile.image`."""
        if index != self._last[0]:
            nearest, at, inflater = self._kept[bisect_right(self._kept, index, key=lambda kept: kept[0]) - 1]
            if not nearest <= self._next <= index:
                self._next, self._at, self._inflater = nearest, at, inflater.copy()
            while self._next < index and (self.count is None or self._next < self.count):
                self._inflated()
            self._last = index, self._inflated()
        return _millimetres(self._last[1])

    def _inflated(self) -> bytes:
        """Return the bytes of the next image; zeros behind the last one.

        Raises:
            ValueError: the stream is cut off before, or is damaged.
        """
        if self._next % KEPT_EVERY == 0 and self._next > self._kept[-1][0]:
            self._kept.append((self._next, self._at, self._inflater.copy()))
        parts, wanted = [], METRE_BYTES
        while wanted and not self._inflater.eof:
            chunk = self._file.read_at(self._at, CHUNK)
            try:
                part = self._inflater.decompress(chunk, wanted)
            except zlib.error as error:
                self._begin_again()
                raise ValueError(f"is damaged within image {self._next}: {error}") from error
            used = len(chunk) - len(self._inflater.unconsumed_tail) - len(self._inflater.unused_data)
            if not part and not used:
                break
            self._at += used
            parts.append(part)
            wanted -= len(part)
        if wanted == METRE_BYTES and self._inflater.eof:
            self.count = self._next
            return bytes(METRE_BYTES)
        if wanted:
            problem = f"is cut off within image {self._next}"
            self._begin_again()
            raise ValueError(problem)
        self._next += 1
        return b"".join(parts)

    def _begin_again(self) -> None:
        """Return to the beginning: the state after a failure cannot be used."""
        self._next, self._at = self._kept[0][:2]
        self._inflater = self._kept[0][2].copy()


class _Windowed:
    """A file that is read in large parts, because every request to a store takes long.

    Args:
        file: open; it is closed with this.
    """

    def __init__(self, file: RangedFile) -> None:
        self._file, self.size = file, file.size
        self._at, self._window = 0, b""

    def read_at(self, offset: int, size: int) -> bytes:
        """Read ``size`` bytes from ``offset`` on, fewer if the file ends before."""
        at = offset - self._at
        if at < 0 or at + min(size, self.size - offset) > len(self._window):
            length = max(size, WINDOW if self._window else FIRST_WINDOW)
            self._at, self._window, at = offset, self._file.read_at(offset, length), 0
        return self._window[at : at + size]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _encoding(file: RangedFile) -> Encoding:
    """Return the encoding of a file by its beginning.

    Raises:
        ValueError: it is neither of them.
    """
    if file.size == 0:
        raise ValueError("is empty")
    size = int.from_bytes(file.read_at(0, SIZE_BYTES), "little")
    if 0 < size <= MAX_BLOCK:
        block = file.read_at(SIZE_BYTES, size)
        for encoding in ("lz4", "deflate"):
            if _unpacked(block, encoding) is not None:
                return encoding
    try:
        begun = zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read_at(0, MAX_BLOCK), METRE_BYTES)
    except zlib.error:
        begun = b""
    if len(begun) < METRE_BYTES:
        raise ValueError(
            f"holds no depth image of {WIDTH}x{HEIGHT}: neither blocks of LZ4 or Deflate after their sizes, nor one "
            "Deflate stream"
        )
    return "stream"


def _unpacked(block: bytes, encoding: str) -> NDArray[np.uint16] | None:
    """Return the image of a block, or ``None`` if it does not hold exactly one."""
    if encoding == "lz4":
        data = _lz4(block)
        return None if data is None else np.frombuffer(data, dtype="<u2").reshape(HEIGHT, WIDTH).astype(np.uint16)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(block, METRE_BYTES)
        # At its end an inflater has read the end-of-block mark, for which it may need to be asked once more.
        whole = len(data) == METRE_BYTES and not inflater.decompress(inflater.unconsumed_tail, 1) and inflater.eof
    except zlib.error:
        return None
    return _millimetres(data) if whole else None


def _lz4(block: bytes) -> bytes | None:
    """Return the bytes of an LZ4 block if they are exactly those of an image."""
    import pyarrow

    # Arrow says when a block does not fit into the room that it is given, not when it leaves some: so it must not fit
    # into one byte less.
    if _fits(block, MILLIMETRE_BYTES - 1):
        return None
    try:
        return bytes(pyarrow.decompress(block, decompressed_size=MILLIMETRE_BYTES, codec="lz4_raw", asbytes=True))
    except OSError:
        return None


def _fits(block: bytes, size: int) -> bool:
    import pyarrow

    try:
        pyarrow.decompress(block, decompressed_size=size, codec="lz4_raw")
    except OSError:
        return False
    return True


def _millimetres(metres: bytes) -> NDArray[np.uint16]:
    """Return float32 metres as millimetres, (192, 256); 0 where they are negative, not finite or too far."""
    values = np.frombuffer(metres, dtype="<f4").reshape(HEIGHT, WIDTH)
    with np.errstate(invalid="ignore"):
        usable = (values > 0) & (values < LARGEST)
    return np.rint(np.where(usable, values, 0) * np.float32(1000)).astype(np.uint16)
