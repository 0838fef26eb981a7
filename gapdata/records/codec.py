"""Encode images, depth, masks and pointmaps to the bytes of a record's members, and decode them.

Members of a frame ``f`` are named ``00.jpg``, ``00.depth.png``, ``00.instance.png`` and ``00.prompt.png`` after the
record's key; ``pointmap.npy`` belongs to the whole view.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from zlib_ng import zlib_ng

from gapdata.errors import ShardError
from gapdata.files.image_tags import PNG_SIGNATURE
from gapdata.files.npy import read_header
from gapdata.geometry.camera import transform
from gapdata.sources.images import could_hold, encoded_image_size

MILLIMETRES_PER_METRE = 1000.0
POINTMAP = "pointmap.npy"
VERIFY = "run `gapdata verify` on the build"
PNG_FILTER_UP = 2
DEFLATE = {"level": 1, "method": zlib_ng.DEFLATED, "wbits": 15, "memLevel": 9}
"""The largest window and blocks of the most symbols; with the strategies used here the level does not matter."""
RLE_SHARE = 0.8
"""Share of zeros among a filtered image's bytes above which runs of zeros are worth encoding: instance masks have 0.99,
registered depth 0.6 (every second byte is the high one of a pixel)."""


class Encoded(Protocol):
    """The part of a :class:`gapdata.records.schema.Record` that decoding needs."""

    @property
    def key(self) -> str:
        """Its name in messages."""
        ...

    @property
    def image_size(self) -> tuple[int, int]:
        """Width and height of every image."""
        ...

    @property
    def members(self) -> Mapping[str, bytes]:
        """The encoded files by their name after the key."""
        ...

    def __len__(self) -> int: ...


def member_name(frame: int, suffix: str) -> str:
    """Return the name of a frame's member: ``00.jpg`` for frame 0 and suffix ``jpg``."""
    return f"{frame:02d}.{suffix}"


def encode_jpeg(image: NDArray[np.uint8], quality: int) -> bytes:
    """Encode an image, (H, W, 3) uint8 RGB, as JPEG, 4:2:0."""
    import cv2

    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(data)


def encode_png(image: NDArray[np.uint16] | NDArray[np.uint8]) -> bytes:
    """Encode (H, W) uint16 or uint8 as a greyscale PNG (PNG specification, third edition).

    Every row is stored as its difference to the one above. It is deflated with a strategy that leaves the compressor
    no choice (RFC 1951; ``Z_RLE`` where most differences are 0, as in masks, else ``Z_HUFFMAN_ONLY``): no search for
    matches, whose outcome would depend on a library's version, on the processor's instructions or, as ISA-L's does, on
    where memory lies. So every version of zlib and zlib-ng writes the same bytes on any machine. Depth gets
    smaller than by a quick search, because noise has no matches.
    """
    height, width = image.shape
    pixel = np.dtype(image.dtype).newbyteorder(">")
    rows = np.ascontiguousarray(image, dtype=pixel).view(np.uint8).reshape(height, -1)
    filtered = np.empty((height, 1 + rows.shape[1]), dtype=np.uint8)
    filtered[:, 0] = PNG_FILTER_UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    zeros = filtered.size - np.count_nonzero(filtered)
    strategy = zlib_ng.Z_RLE if zeros > RLE_SHARE * filtered.size else zlib_ng.Z_HUFFMAN_ONLY
    deflater = zlib_ng.compressobj(**DEFLATE, strategy=strategy)
    header = struct.pack(">IIBBBBB", width, height, 8 * pixel.itemsize, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", deflater.compress(filtered) + deflater.flush()), (b"IEND", b""))
    return PNG_SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib_ng.crc32(data, zlib_ng.crc32(name)))
        for name, data in chunks
    )


@lru_cache(maxsize=8)
def empty_png(size: tuple[int, int]) -> bytes:
    """Return an 8-bit greyscale PNG of width and height ``size`` that is 0 everywhere.

    The bytes for a size are made once.
    """
    return encode_png(np.zeros((size[1], size[0]), dtype=np.uint8))


def decode_png(png: bytes) -> NDArray[np.uint16]:
    """Return the 16-bit image of a PNG that :func:`encode_png` wrote, (H, W)."""
    import cv2

    image = cv2.imdecode(np.frombuffer(png, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    return np.asarray(image, dtype=np.uint16)


def encode_npy(array: NDArray[np.float32]) -> bytes:
    """Encode a float32 array as ``.npy``."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def decode_image(record: Encoded, frame: int) -> NDArray[np.uint8]:
    """Decode a frame, (H, W, 3) uint8 RGB."""
    import cv2

    stored = _decode(record, member_name(frame, "jpg"), cv2.IMREAD_COLOR)
    image: NDArray[np.uint8] = cv2.cvtColor(stored, cv2.COLOR_BGR2RGB)
    return image


def decode_depth(record: Encoded, frame: int) -> NDArray[np.float32]:
    """Decode a frame's depth, (H, W) float32 metres, 0 where unknown."""
    return _decode_mask(record, member_name(frame, "depth.png")).astype(np.float32) / np.float32(MILLIMETRES_PER_METRE)


def decode_instances(record: Encoded, frame: int) -> NDArray[np.uint16]:
    """Decode a frame's instance mask, (H, W) uint16."""
    return _decode_mask(record, member_name(frame, "instance.png")).astype(np.uint16)


def decode_prompt_mask(record: Encoded, frame: int) -> NDArray[np.uint16]:
    """Decode a frame's prompt mask, (H, W) uint16.

    It is 0 everywhere if the member is missing: builds before engine version 9 leave it out for frames without
    prompts.
    """
    name = member_name(frame, "prompt.png")
    if record.members and name not in record.members:
        largest = max(map(len, record.members.values()), default=0)
        if not could_hold(largest, record.image_size):
            width, height = record.image_size
            raise ShardError(
                f"record {record.key}: its members are too small for images of {width}x{height}", cure=VERIFY
            )
        return np.zeros((record.image_size[1], record.image_size[0]), dtype=np.uint16)
    return _decode_mask(record, name).astype(np.uint16)


def decode_pointmap(record: Encoded) -> NDArray[np.float32]:
    """Decode the stored pointmap, (F, H // s, W // s, 3) float32, metres, first camera, NaN where unknown."""
    data = _member(record, POINTMAP)
    width, height = record.image_size
    try:
        dtype, shape, start = read_header(io.BytesIO(data))
    except ValueError as error:
        raise ShardError(f"record {record.key}: pointmap.npy cannot be read: {error}", cure=VERIFY) from error
    fits = len(shape) == 4 and shape[0] == len(record) and 0 < shape[1] <= height and 0 < shape[2] <= width
    if not fits or shape[3] != 3:
        expected = f"({len(record)}, up to {height}, up to {width}, 3)"
        raise ShardError(f"record {record.key}: pointmap.npy has shape {shape}, expected {expected}", cure=VERIFY)
    if dtype != np.float32 or len(data) - start != 4 * math.prod(shape):
        problem = (
            f"has {len(data) - start} bytes of {dtype} for shape {shape}, expected {4 * math.prod(shape)} of float32"
        )
        raise ShardError(f"record {record.key}: pointmap.npy {problem}", cure=VERIFY)
    return np.frombuffer(data, dtype=dtype, offset=start).reshape(shape).astype(np.float32)


def members_of_frames(record: Encoded, frames: Sequence[int], old_to_new: NDArray[np.float64]) -> dict[str, bytes]:
    """Return the members of a record of some frames.

    Args:
        record: the record with all frames.
        frames: the positions of those that stay, in their new order.
        old_to_new: (4, 4) from the camera of the record's first frame to that of the new one.
    """
    position = {frame: index for index, frame in enumerate(frames)}
    members = {}
    for name, data in record.members.items():
        number, _, suffix = name.partition(".")
        if number.isdecimal() and int(number) in position:
            members[member_name(position[int(number)], suffix)] = data
    if POINTMAP in record.members:
        points = transform(old_to_new, decode_pointmap(record)[list(frames)].astype(np.float64))
        members[POINTMAP] = encode_npy(points.astype(np.float32))
    return dict(sorted(members.items()))


def _member(record: Encoded, name: str) -> bytes:
    if not record.members:
        raise ShardError(f"record {record.key}: was read without its images", cure="take it from the build by its key")
    if name not in record.members:
        raise ShardError(f"record {record.key}: member {name} is missing", cure=VERIFY)
    return record.members[name]


def _decode_mask(record: Encoded, name: str) -> NDArray[np.uint16]:
    import cv2

    image = _decode(record, name, cv2.IMREAD_UNCHANGED)
    if image.ndim != 2:
        raise ShardError(f"record {record.key}: member {name} has {image.shape[2]} channels, expected 1", cure=VERIFY)
    return image


def _decode(record: Encoded, name: str, flags: int) -> NDArray[Any]:
    import cv2

    data = _member(record, name)
    # The stated size is compared before anything is decoded, because decoding allocates memory for it.
    size = encoded_image_size(data)
    if size is not None and size != record.image_size:
        wanted = "{}x{}".format(*record.image_size)
        raise ShardError(f"record {record.key}: member {name} is {size[0]}x{size[1]}, expected {wanted}", cure=VERIFY)
    image: NDArray[Any] | None = None
    if size is not None and could_hold(len(data), size):
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
        except cv2.error:
            image = None
    if image is None or image.shape[1::-1] != size:
        raise ShardError(f"record {record.key}: member {name} is not an image", cure=VERIFY)
    return image
