"""Check one record: its members, cameras, masks, prompts and pointmap agree with each other.

Bytes are untrusted here. Each check yields defects as text; a member that cannot be decoded is a defect, too.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gapdata.engine.bad_views import limits_by_figure
from gapdata.engine.recipe import Recipe
from gapdata.errors import ShardError
from gapdata.geometry.camera import is_rigid, relative_poses, transform
from gapdata.geometry.pointmap import first_frame_pointmap
from gapdata.prompts.instances import visible_pixels
from gapdata.records.codec import (
    empty_png,
    member_name,
)
from gapdata.records.expressions import conversations, descriptions
from gapdata.records.keys import OWN_CLIP
from gapdata.records.schema import Prompt, Record
from gapdata.sources.images import encoded_image_size

PIXEL_TOLERANCE = 0.05
"""Pixels between a prompt and the projection of its point: rounding to micrometres moves it by a hundredth at most."""
DEPTH_TOLERANCE = 1e-4  # metres; depth is whole millimetres
POSE_TOLERANCE = 1e-6  # of matrix entries that are computed alike
POINT_TOLERANCE = 1e-4  # metres; float32
SHARE_TOLERANCE = 1e-4
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
PNG_END = b"IEND\xaeB`\x82"


def check_record(record: Record, recipe: Recipe, *, boxless_objects: bool) -> Iterator[str]:
    """Yield every defect of one record.

    Args:
        record: as read from a shard, with its members.
        recipe: of the build.
        boxless_objects: the scene has objects with too few vertices for a box; masks may show them unlisted.

    Raises:
        ShardError: a member cannot be decoded.
    """
    yield from _check_frames(record, recipe)
    broken = list(_check_members(record, record.image_size if _has_size(record, recipe) else recipe.frames.image_size))
    yield from broken
    cameras = list(_check_cameras(record))
    yield from cameras
    if broken or cameras or not _has_size(record, recipe):
        return
    for frame in range(len(record)):
        record.image(frame)
    depth = np.stack([record.depth(frame) for frame in range(len(record))])
    yield from _check_pointmap(record, depth, recipe)
    yield from _check_quality(record, depth, recipe)
    yield from _check_expressions(record)
    yield from _check_prompt_masks(record)
    if member_name(0, "instance.png") in record.members:
        masks = np.stack([record.instances(frame) for frame in range(len(record))])
        incomplete = boxless_objects or recipe.objects.source != "mesh"
        yield from _check_objects(record, masks, 1 << 62 if incomplete else recipe.instances.min_visible_pixels)
        yield from _check_prompts(record, depth, masks)
    elif record.prompts or record.objects:
        yield "has prompts or objects but no instance masks"


def _check_frames(record: Record, recipe: Recipe) -> Iterator[str]:
    ids = record.frame_ids
    if not ids or min(ids) < 0:
        yield f"frame_ids {list(ids)} are empty or negative"
    elif OWN_CLIP.search(record.key) and any(a >= b for a, b in itertools.pairwise(ids)):
        yield f"frame_ids do not increase: {list(ids)}"
    if not _has_size(record, recipe):
        yield f"image_size is {list(record.image_size)}, the recipe's is {list(recipe.frames.image_size)}"


def _has_size(record: Record, recipe: Recipe) -> bool:
    width, height = recipe.frames.image_size
    sizes = {(width, height), (height, width)} if recipe.frames.portrait == "swap" else {(width, height)}
    return record.image_size in sizes


def _check_members(record: Record, size: tuple[int, int]) -> Iterator[str]:
    """Yield missing and foreign members, and those of the wrong kind by their first and last bytes.

    Decoders accept truncated files.
    """
    count = len(record)
    kinds = ["jpg", "depth.png", "prompt.png", *(["instance.png"] if record.has_instances else [])]
    expected = {member_name(frame, kind) for frame in range(count) for kind in kinds} | {"pointmap.npy"}
    yield from (f"member {name} is missing" for name in sorted(expected - record.members.keys()))
    yield from (f"member {name} does not belong to it" for name in sorted(record.members.keys() - expected))
    for name in sorted(expected & record.members.keys()):
        data = record.members[name]
        if name.endswith(".jpg") and (data.startswith(b"\x89") or encoded_image_size(data) != size):
            yield f"member {name} is not a whole JPEG of {size[0]}x{size[1]}"
        if name.endswith(".png"):
            bits = 8 if name.endswith("prompt.png") else 16
            header = PNG_SIGNATURE + struct.pack(">IIBB", *size, bits, 0)
            if not data.startswith(header) or not data.endswith(PNG_END):
                yield f"member {name} is not a whole {bits}-bit grey PNG of {size[0]}x{size[1]}"


def _check_cameras(record: Record) -> Iterator[str]:
    if not np.isfinite(record.intrinsics).all() or not all(camera.plausible for camera in record.cameras):
        yield "intrinsics are implausible"
    rigid = {name: is_rigid(getattr(record, name)) for name in ("camera_to_world", "camera_to_first")}
    for name, holds in rigid.items():
        yield from (f"{name} of frame {frame} is not rigid" for frame in np.flatnonzero(~holds))
    if all(holds.all() for holds in rigid.values()):
        off = np.abs(relative_poses(record.camera_to_world) - record.camera_to_first).max(axis=(1, 2))
        for frame in np.flatnonzero(off > POSE_TOLERANCE):
            yield f"camera_to_first of frame {frame} does not follow from camera_to_world"
    if record.axis_alignment is not None and not is_rigid(record.axis_alignment):
        yield "axis_alignment is not rigid"


def _check_pointmap(record: Record, depth: NDArray[np.float32], recipe: Recipe) -> Iterator[str]:
    derived = first_frame_pointmap(depth, record.cameras, record.camera_to_first, recipe.frames.pointmap_stride)
    stored = record.stored_pointmap()
    if stored.shape != derived.shape:
        yield f"pointmap.npy has shape {stored.shape}, expected {derived.shape}"
    elif not np.allclose(stored, derived, rtol=0, atol=POINT_TOLERANCE, equal_nan=True):
        yield "pointmap.npy does not follow from depth and cameras"


def _check_quality(record: Record, depth: NDArray[np.float32], recipe: Recipe) -> Iterator[str]:
    valid = record.quality.get("valid_depth")
    measured = (depth > 0).mean(axis=(1, 2))
    if not isinstance(valid, list) or np.shape(valid) != measured.shape:
        yield "quality.valid_depth does not have a value for every frame"
    elif not np.allclose(np.array(valid, dtype=np.float64), measured, rtol=0, atol=SHARE_TOLERANCE):
        yield "quality.valid_depth disagrees with the stored depth"
    for name, limit in limits_by_figure(recipe.quality).items():
        value = record.quality.get(name)
        if value is not None and not value <= limit:
            yield f"quality.{name} is {value}, beyond the recipe's {limit}"


def _check_objects(record: Record, masks: NDArray[np.uint16], unlisted_below: int) -> Iterator[str]:
    seen = visible_pixels(masks)
    listed = [item.object_id for item in record.objects]
    if len(set(listed)) != len(listed):
        yield "lists an object twice"
    for item in record.objects:
        actual = seen.get(item.object_id, (0,) * len(record))
        if actual != item.visible_pixels:
            yield (
                f"object {item.object_id}: visible_pixels {list(item.visible_pixels)} disagree with the instance masks,"
                f" which show {list(actual)}"
            )
        rotation = np.eye(4)
        rotation[:3, :3] = item.rotation
        if not is_rigid(rotation) or not np.isfinite(item.center).all() or not min(item.size) >= 0:
            yield f"object {item.object_id}: its box is not rigid, not finite, or of negative size"
    for object_id in sorted(seen.keys() - set(listed)):
        if max(seen[object_id]) >= unlisted_below:
            yield f"instance masks show object {object_id}, which is not listed"


def _check_expressions(record: Record) -> Iterator[str]:
    listed = {item.object_id for item in record.objects}
    for item in descriptions(record):
        if item.object_id not in listed:
            yield f"description {item.ann_id} is about object {item.object_id}, which is not listed"
    width, height = record.image_size
    for talk in conversations(record):
        marked = [] if talk.mark is None else [talk.mark]
        marked += [
            (frame, place[at], place[at + 1]) for frame, _, place in talk.marks for at in range(0, len(place), 2)
        ]
        for frame, u, v in marked:
            if not (0 <= frame < len(record) and -0.5 <= u < width - 0.5 and -0.5 <= v < height - 0.5):
                yield f"the mark {[frame, u, v]} of {talk.source} item {talk.index} lies outside the view"


def _check_prompts(record: Record, depth: NDArray[np.float32], masks: NDArray[np.uint16]) -> Iterator[str]:
    labels = {item.object_id: item.label for item in record.objects}
    if [prompt.index for prompt in record.prompts] != list(range(1, len(record.prompts) + 1)):
        yield "prompts are not numbered 1, 2, ..."
    for prompt in record.prompts:
        for problem in _prompt_problems(record, prompt, depth, masks, labels):
            yield f"prompt {prompt.index}: {problem}"


def _check_prompt_masks(record: Record) -> Iterator[str]:
    empty = empty_png(record.image_size)
    for frame in range(len(record)):
        marks = {prompt.index: prompt.pixel for prompt in record.prompts if prompt.frame == frame}
        if not marks and record.members[member_name(frame, "prompt.png")] == empty:
            continue
        mask = record.prompt_mask(frame)
        unknown = set(np.unique(mask).tolist()) - marks.keys() - {0}
        if unknown:
            yield f"prompt mask of frame {frame} shows {sorted(unknown)}, which are not prompts of that frame"
        height, width = mask.shape
        for index, (u, v) in marks.items():
            # Where marks overlap the later one is on top.
            if 0 <= u < width and 0 <= v < height and mask[v, u] < index:
                yield f"prompt {index}: the prompt mask of frame {frame} does not cover its pixel"


def _prompt_problems(
    record: Record, prompt: Prompt, depth: NDArray[np.float32], masks: NDArray[np.uint16], labels: dict[int, str]
) -> Iterator[str]:
    (u, v), (width, height) = prompt.pixel, record.image_size
    if not (0 <= u < width and 0 <= v < height):
        yield f"pixel {[u, v]} is outside the image"
        return
    local = transform(np.linalg.inv(record.camera_to_first[prompt.frame]), np.array(prompt.point))
    projected = record.camera(prompt.frame).project(local)
    if not np.abs(projected - (u, v)).max() <= PIXEL_TOLERANCE:
        yield f"its point projects to {np.round(projected, 2).tolist()}, its pixel is {[u, v]}"
    if not abs(local[2] - depth[prompt.frame, v, u]) <= DEPTH_TOLERANCE:
        yield f"its point is {local[2]:.4f} m deep, the stored depth is {depth[prompt.frame, v, u]:.4f} m"
    if prompt.object_id is None:
        return
    listed = labels.get(prompt.object_id)
    if listed != prompt.label:
        yield f"names object {prompt.object_id} {prompt.label!r}, the record lists it as {listed!r}"
    if masks[prompt.frame, v, u] != prompt.object_id + 1:
        yield f"the instance mask does not show object {prompt.object_id} at its pixel"


DECODING_ERRORS = (ShardError, ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError, MemoryError)
"""Errors that untrusted bytes cause in decoding and checking."""
