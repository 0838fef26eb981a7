"""Records survive their trip through JSON and files, and damage is named."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.errors import ShardError
from gapdata.geometry.camera import transform
from gapdata.records.codec import (
    encode_jpeg,
    encode_npy,
    encode_png,
)
from gapdata.records.reading import record_from_json
from gapdata.records.schema import Prompt, Record, ViewObject

number = st.floats(-50, 50, allow_nan=False)
triple = st.tuples(number, number, number)
text = st.text(min_size=1, max_size=12)
objects = st.builds(
    ViewObject,
    object_id=st.integers(0, 254),
    label=text,
    labels=st.dictionaries(text, text, max_size=3),
    center=triple,
    size=triple,
    rotation=st.tuples(triple, triple, triple),
    visible_pixels=st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)),
)
prompts = st.builds(
    Prompt,
    index=st.integers(1, 255),
    frame=st.integers(0, 1),
    pixel=st.tuples(st.integers(0, 31), st.integers(0, 23)),
    point=triple,
    object_id=st.none() | st.integers(0, 254),
    label=st.none() | text,
)


def make_record(seed: int = 0, **fields: Any) -> Record:
    """Two 32x24 frames with random pictures, depth and masks."""
    rng = np.random.default_rng(seed)
    members: dict[str, bytes] = {"pointmap.npy": encode_npy(rng.normal(size=(2, 3, 4, 3)).astype(np.float32))}
    for frame in range(2):
        members[f"{frame:02d}.jpg"] = encode_jpeg(rng.integers(0, 255, (24, 32, 3), dtype=np.uint8), 90)
        members[f"{frame:02d}.depth.png"] = encode_png(rng.integers(0, 9000, (24, 32)).astype(np.uint16))
        members[f"{frame:02d}.instance.png"] = encode_png(rng.integers(0, 400, (24, 32)).astype(np.uint16))
    members["01.prompt.png"] = encode_png(rng.integers(0, 3, (24, 32)).astype(np.uint8))
    second = np.eye(4)
    second[:3, 3] = [0.1, 0.0, 0.2]
    record = Record(
        key="scene0000_00-clip-00000",
        scene_id="scene0000_00",
        source="scannet",
        split="train",
        view="clip",
        frame_ids=(0, 30),
        image_size=(32, 24),
        intrinsics=np.tile([30.0, 30.0, 15.5, 11.5], (2, 1)),
        camera_to_world=np.stack([np.eye(4), second]),
        camera_to_first=np.stack([np.eye(4), second]),
        axis_alignment=None,
        members=members,
    )
    return dataclasses.replace(record, **fields)


@given(st.lists(objects, max_size=3).map(tuple), st.lists(prompts, max_size=3).map(tuple), st.booleans())
def test_a_record_survives_json(found: tuple[ViewObject, ...], asked: tuple[Prompt, ...], aligned: bool) -> None:
    record = make_record(
        objects=found, prompts=asked, axis_alignment=np.diag([-1.0, -1.0, 1.0, 1.0]) if aligned else None
    )
    again = record_from_json(record.to_json())
    assert again.objects == found
    assert again.prompts == asked
    assert again.to_json() == record.to_json()
    np.testing.assert_array_equal(again.camera_to_first, record.camera_to_first)


def test_the_json_member_has_the_names_that_the_schema_promises() -> None:
    fields = json.loads(make_record().to_json())
    names = "schema key scene_id source split view frame_ids image_size intrinsics camera_to_world camera_to_first"
    assert list(fields) == [*names.split(), "axis_alignment", "objects", "prompts", "expressions", "quality"]
    assert fields["schema"] == 1
    assert fields["axis_alignment"] is None


def test_depth_masks_and_pointmap_are_stored_without_loss() -> None:
    record = make_record(1)
    rng = np.random.default_rng(1)
    pointmap = rng.normal(size=(2, 3, 4, 3)).astype(np.float32)
    np.testing.assert_array_equal(record.stored_pointmap(), pointmap)
    for frame in range(2):
        rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)
        np.testing.assert_allclose(record.depth(frame) * 1000, rng.integers(0, 9000, (24, 32)), atol=1e-3)
        np.testing.assert_array_equal(record.instances(frame), rng.integers(0, 400, (24, 32)))
    assert record.image(0).shape == (24, 32, 3)
    assert record.prompt_mask(0).max() == 0
    assert record.prompt_mask(1).max() == 2


def test_the_full_pointmap_is_depth_seen_from_the_first_camera() -> None:
    record = make_record(2)
    points, depth = record.pointmap(), record.depth(1)
    local = transform(np.linalg.inv(record.camera_to_first[1]), points[1].astype(np.float64))
    np.testing.assert_array_equal(np.isnan(points[1, ..., 0]), depth == 0)
    np.testing.assert_allclose(local[depth > 0][:, 2], depth[depth > 0], atol=1e-5)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (b"", "does not follow schema 1: JSONDecodeError"),
        (b"[1]", "record JSON is not an object"),
        (b'{"schema": 2}', "record has schema 2, this version reads 1; upgrade gapmllm"),
        (b'{"schema": 1}', "does not follow schema 1: KeyError 'axis_alignment'"),
        (b"[" * 100_000, "does not follow schema 1: RecursionError"),
    ],
)
def test_damaged_json_is_refused(damage: bytes, message: str) -> None:
    with pytest.raises(ShardError, match=message):
        record_from_json(damage)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("intrinsics", [[1, 2, 3]], r"intrinsics has shape \(1, 3\), expected \(2, 4\)"),
        ("camera_to_first", [], r"camera_to_first has shape \(0,\)"),
        ("view", "movie", "view is 'movie', expected one of clip, scene, around"),
        (
            "prompts",
            [{"index": 1, "frame": 9, "pixel": [1, 2], "point": [0, 0, 0], "object_id": None, "label": None}],
            "a prompt names a frame outside the view",
        ),
        ("frame_ids", None, "TypeError"),
    ],
)
def test_a_field_of_the_wrong_shape_is_named(field: str, value: object, message: str) -> None:
    fields = json.loads(make_record().to_json())
    fields[field] = value
    with pytest.raises(ShardError, match=message):
        record_from_json(json.dumps(fields).encode())


def test_a_damaged_member_is_named() -> None:
    record = make_record()
    small, color = encode_png(np.zeros((3, 3), np.uint16)), record.members["00.jpg"]
    cases: list[tuple[str, bytes, Callable[[Record], object], str]] = [
        ("00.jpg", b"no image", lambda item: item.image(0), "member 00.jpg is not an image"),
        ("01.depth.png", small, lambda item: item.depth(1), "member 01.depth.png is 3x3, expected 32x24"),
        (
            "00.instance.png",
            color,
            lambda item: item.instances(0),
            "00.instance.png has 3 channels, expected 1",
        ),
        ("pointmap.npy", b"\x93NUMPY", Record.stored_pointmap, "pointmap.npy cannot be read"),
    ]
    for name, data, read, message in cases:
        damaged = dataclasses.replace(record, members={**record.members, name: data})
        with pytest.raises(ShardError, match=message):
            read(damaged)
    with pytest.raises(ShardError, match=r"member 00\.jpg is missing; run `gapdata verify`"):
        dataclasses.replace(record, members={"pointmap.npy": record.members["pointmap.npy"]}).image(0)
    bare = dataclasses.replace(record, members={})
    for ask in (bare.image, bare.instances, bare.prompt_mask):
        with pytest.raises(ShardError, match="was read without its images; take it from the build by its key"):
            ask(0)
