"""The bytes of a PNG depend on its pixels alone."""

from __future__ import annotations

import zlib

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gapdata.records.codec import encode_png
from tests.benchmarks.png_processes import count_digests, noisy_depth, ragged_masks

RNG = np.random.default_rng(3)
IMAGES = {
    "mask": ragged_masks(1, RNG)[0],
    "depth": noisy_depth(1, RNG)[0],
    "depth mostly without readings": np.where(np.arange(128) < 9, noisy_depth(1, RNG)[0], 0).astype(np.uint16),
    "nothing": np.zeros((384, 512), np.uint8),
    "noise": RNG.integers(0, 65536, (384, 512), dtype=np.uint16),
    "one pixel": np.full((1, 1), 65535, np.uint16),
    "one row": RNG.integers(0, 9, (1, 4097), dtype=np.uint8),
}


@pytest.mark.parametrize("name", IMAGES)
def test_a_png_holds_the_bytes_that_zlib_itself_makes(name: str) -> None:
    image: NDArray[np.uint16] = IMAGES[name]
    data = encode_png(image)
    np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED), image)
    stream = data[data.index(b"IDAT") + 4 : data.index(b"IEND") - 8]
    rows = zlib.decompress(stream)
    candidates = []
    for strategy in (zlib.Z_RLE, zlib.Z_HUFFMAN_ONLY):
        deflater = zlib.compressobj(6, zlib.DEFLATED, 15, 9, strategy)
        candidates.append(deflater.compress(rows) + deflater.flush())
    # The two bytes before Deflate's own name the level, which has no influence with these strategies.
    assert stream[2:] in [candidate[2:] for candidate in candidates]


def test_fresh_processes_encode_the_same_arrays_to_the_same_bytes() -> None:
    assert len(count_digests(processes=12, at_once=2)) == 1
