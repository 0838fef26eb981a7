"""A record of fewer frames is what the engine would have made of those frames, and the nouns answer for themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapdata.geometry.camera import relative_poses, transform
from gapdata.records.codec import encode_npy, encode_png, member_name
from gapdata.records.expressions import Conversation, Expression
from gapdata.records.schema import Record
from tests.support.models import make_record

FRAMES = 4


def whole_record() -> Record:
    """Four frames with every kind of member, language, proposals and quality figures."""
    record = make_record(3, frames=FRAMES)
    members = {
        **record.members,
        **{
            member_name(frame, "prompt.png"): encode_png(np.full((96, 128), frame, dtype=np.uint8))
            for frame in range(FRAMES)
        },
        "pointmap.npy": encode_npy(record.pointmap()[:, 4::8, 4::8]),
    }
    objects = tuple(
        replace(
            item,
            proposal={
                "center": list(item.center),
                "size": list(item.size),
                "rotation": [list(row) for row in item.rotation],
                "iou": 1.0,
            },
        )
        for item in record.objects
    )
    told = tuple(
        Expression(object_id=item.object_id, ann_id="0", object_name=item.label, text="this one").to_fields()
        for item in objects
    )
    spoken = Conversation(task="pointmap", question="What?", answer="This.", mark=None, source="a.json", index=0)
    figures = [0.1 * frame for frame in range(FRAMES)]
    return replace(
        record,
        objects=objects,
        expressions=(*told, spoken.to_fields()),
        quality={"valid_depth": figures, "sharpness": figures, "overlap": 0.5, "outlier": 1},
        members=dict(sorted(members.items())),
    )


RECORD = whole_record()
choices = st.lists(st.integers(0, FRAMES - 1), min_size=1, max_size=FRAMES, unique=True)


def test_all_frames_in_order_are_the_record() -> None:
    again = RECORD.subset(range(FRAMES))
    assert again.to_json() == RECORD.to_json()
    assert again.members == RECORD.members


@given(choices)
@settings(deadline=None, max_examples=30)
def test_points_and_boxes_are_those_of_the_record_seen_from_the_first_chosen_frame(frames: list[int]) -> None:
    part = RECORD.subset(frames)
    old_to_new = np.linalg.inv(RECORD.camera_to_first[frames[0]])
    np.testing.assert_allclose(
        part.pointmap(), transform(old_to_new, RECORD.pointmap()[frames].astype(np.float64)), atol=1e-5
    )
    np.testing.assert_allclose(part.stored_pointmap(), part.pointmap()[:, 4::8, 4::8], atol=1e-5)
    np.testing.assert_allclose(part.camera_to_first, relative_poses(part.camera_to_world), atol=1e-9)
    kept = {item.object_id: item for item in RECORD.objects}
    for item, box in zip(part.objects, part.boxes, strict=True):
        expected = kept[item.object_id].box.transformed(old_to_new)
        np.testing.assert_allclose(box.corners, expected.corners, atol=1e-9)
        np.testing.assert_allclose(item.box.rotation, expected.rotation, atol=1e-9)
        assert item.proposal is not None
        np.testing.assert_allclose(item.proposal["center"], expected.center, atol=1e-9)


@given(choices)
@settings(deadline=None, max_examples=30)
def test_frames_members_and_counts_follow(frames: list[int]) -> None:
    part = RECORD.subset(frames)
    assert (part.key, part.frame_ids) == (RECORD.key, tuple(RECORD.frame_ids[frame] for frame in frames))
    assert len(part.members) == 4 * len(frames) + 1
    for position, frame in enumerate(frames):
        for read in (Record.image, Record.depth, Record.instances, Record.prompt_mask):
            np.testing.assert_array_equal(read(part, position), read(RECORD, frame))
        assert part.cameras[position] == RECORD.cameras[frame]
        mask = part.instances(position)
        for item in part.objects:
            assert item.visible_pixels[position] == np.count_nonzero(mask == item.object_id + 1)
    assert part.quality["valid_depth"] == [RECORD.quality["valid_depth"][frame] for frame in frames]
    assert "overlap" in part.quality or frames != list(range(FRAMES))
    shown = {item.object_id for item in RECORD.objects if any(item.visible_pixels[frame] for frame in frames)}
    assert {item.object_id for item in part.objects} == shown
    if frames != list(range(FRAMES)):
        assert {item["object_id"] for item in part.expressions} == shown


@given(choices)
@settings(deadline=None, max_examples=30)
def test_prompts_stay_with_their_frames_and_with_what_their_pixels_show(frames: list[int]) -> None:
    part = RECORD.subset(frames)
    assert [item.index for item in part.prompts] == [p.index for p in RECORD.prompts if p.frame in frames]
    points = part.pointmap()
    for prompt in part.prompts:
        u, v = prompt.pixel
        np.testing.assert_allclose(points[prompt.frame, v, u], prompt.point, atol=2e-3)
        assert part.instances(prompt.frame)[v, u] == (prompt.object_id or 0) + 1


@given(choices, st.data())
@settings(deadline=None, max_examples=20)
def test_a_subset_of_a_subset_is_one(frames: list[int], data: st.DataObject) -> None:
    inner = data.draw(st.permutations(range(len(frames))))
    twice, once = RECORD.subset(frames).subset(inner), RECORD.subset([frames[position] for position in inner])
    assert twice.frame_ids == once.frame_ids
    np.testing.assert_allclose(twice.camera_to_first, once.camera_to_first, atol=1e-9)
    np.testing.assert_allclose(twice.pointmap(), once.pointmap(), atol=1e-5)
    assert [item.object_id for item in twice.objects] == [item.object_id for item in once.objects]


def test_frames_that_the_record_does_not_have_are_refused() -> None:
    with pytest.raises(IndexError, match=r"record room0003-clip-00000 has 4 frames: there is no frame 4"):
        RECORD.image(4)
    with pytest.raises(IndexError, match=r"there is no frame -5"):
        RECORD.subset([0, -5])
    with pytest.raises(IndexError, match=r"there is no frame 4"):
        RECORD.camera(4)
    for mask in ([True, False], np.array([True, False, False, True])):
        with pytest.raises(TypeError, match="not by True or False"):
            RECORD.subset(mask)
    for frames in ([], [1, 1], [3, -1]):
        with pytest.raises(ValueError, match="does not name one or more different frames"):
            RECORD.subset(frames)
    np.testing.assert_array_equal(RECORD.depth(-1), RECORD.depth(3))


def test_frames_are_named_by_any_integers_and_the_record_prints_as_one_line() -> None:
    for frames in (np.array([2, 0]), (2, -4), iter([2, 0]), range(2, -1, -2)):
        part = RECORD.subset(frames)
        assert part.to_json() == RECORD.subset([2, 0]).to_json()
    assert repr(part) == (
        f"<Record {part.key}: 2 frames of 128x96, {len(part.objects)} objects, {len(part.prompts)} prompts,"
        f" {len(part.expressions)} expressions>"
    )


def test_a_point_cloud_holds_the_pixels_with_depth_in_their_colours() -> None:
    cloud = RECORD.point_cloud()
    known = np.isfinite(RECORD.pointmap()).all(-1)
    assert len(cloud.points) == known.sum() > 10_000
    np.testing.assert_allclose(np.asarray(cloud.points), RECORD.pointmap()[known])
    colors = np.stack([RECORD.image(frame) for frame in range(FRAMES)])[known]
    np.testing.assert_array_equal(np.rint(np.asarray(cloud.colors) * 255), colors)
