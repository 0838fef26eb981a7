"""Boxes: full lengths, one axis in each row, from ``obbAligned`` alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gapdata.geometry.boxes import OrientedBox
from gapdata.sources.arkit.boxes import BoxFile, parse_boxes
from tests.support.arkit_captures import box


def read(items: Any, **more: Any) -> BoxFile:
    return parse_boxes(json.dumps({"data": items, "skipped": False, **more}).encode())


def box_of(file: BoxFile, place: int) -> OrientedBox:
    found = file.objects[place].box
    assert found is not None
    return found


def test_the_published_boxes_end_where_their_stated_extents_do(samples: Path) -> None:
    """VSI-Bench's copy of the validation boxes states the extents along the axes, as a second opinion on the rows."""
    content = json.loads((samples / "samples" / "vsibench-boxes" / "arkitscenes_meta_info_val.json").read_text())
    seen = 0
    for scene in content.values():
        stated = [(label, entry) for label, entries in scene["object_bbox"].items() for entry in entries]
        file = read([{"label": label, "segments": {"obbAligned": entry}} for label, entry in stated])
        assert len(file.objects) == len(stated)
        for item, (label, entry) in zip(file.objects, stated, strict=True):
            assert item.box is not None
            assert item.label == label
            half = np.abs(item.box.corners - item.box.center).max(axis=0)  # along the world's axes
            assert np.allclose(half, (np.array(entry["max"]) - entry["min"]) / 2, atol=1e-9)
            assert np.isclose(np.linalg.det(item.box.rotation), 1)
            seen += 1
    assert seen == 854


def test_axes_are_rows_and_lengths_are_full() -> None:
    found = box_of(read([box("chair", (1, 2, 3), (0.5, 1.0, 2.0), yaw=0.3)]), 0)
    assert np.allclose(found.rotation[:, 0], [np.cos(0.3), np.sin(0.3), 0])
    along = (found.corners - [1, 2, 3]) @ found.rotation
    assert np.allclose(np.abs(along), [0.25, 0.5, 1.0])


def test_object_ids_that_repeat_do_not_count() -> None:
    file = read([box("chair", (0, 0, 0), (1, 1, 1)), box("chair", (3, 0, 0), (1, 1, 1))])
    assert [item.object_id for item in file.objects] == [0, 1]


def test_a_box_that_is_listed_again_is_left_out() -> None:
    one = box("chair", (0, 0, 0), (1, 1, 1))
    file = read([one, box("table", (0, 0, 0), (1, 1, 1)), one])
    assert [item.object_id for item in file.objects] == [0, 1]
    assert dict(file.duplicates) == {2: 0}
    assert dict(file.notes) == {"duplicated_object": 1}


def test_a_capture_that_nobody_annotated_is_not_one_without_furniture() -> None:
    assert read([], skipped=True).skipped
    assert parse_boxes(b'{"skipped": true}').skipped
    assert not read([]).skipped


def test_mirrored_axes_describe_the_same_box() -> None:
    mirrored = box("bed", (0, 0, 0), (1, 2, 3))
    mirrored["segments"]["obbAligned"]["normalizedAxes"] = [1, 0, 0, 0, 1, 0, 0, 0, -1]
    found = box_of(read([mirrored]), 0)
    assert np.allclose(found.rotation, np.eye(3))


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"axesLengths": [1, 1, 0]}, "box_of_impossible_size"),
        ({"axesLengths": [1, 1, 1000]}, "box_of_impossible_size"),
        ({"axesLengths": [1, 1]}, "box_without_numbers"),
        ({"centroid": [1, None, 1]}, "box_without_numbers"),
        ({"centroid": "here"}, "box_without_numbers"),
        ({"normalizedAxes": [1, 0, 0, 0.5, 0.9, 0, 0, 0, 1]}, "box_with_leaning_axes"),
        ({"normalizedAxes": [float("nan")] * 9}, "box_without_numbers"),
    ],
)
def test_a_damaged_box_is_left_out_and_counted_and_the_others_stay(change: dict[str, Any], note: str) -> None:
    damaged = box("sofa", (0, 0, 0), (1, 1, 1))
    damaged["segments"]["obbAligned"].update(change)
    file = read([damaged, box("chair", (5, 0, 0), (1, 1, 1))])
    assert [(item.object_id, item.label) for item in file.objects] == [(1, "chair")]
    assert dict(file.notes) == {note: 1}


@pytest.mark.parametrize("item", [None, 3, [], {}, {"label": "bed"}, {"label": "bed", "segments": {"obb": {}}}])
def test_an_entry_without_a_box_is_counted(item: Any) -> None:
    file = read([item])
    assert not file.objects
    assert sum(file.notes.values()) == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"data": [', "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[]", "lacks the list data"),
        (b'{"data": {}}', "lacks the list data"),
        (b"\xff\xfe\xff", "UTF"),
    ],
)
def test_what_is_not_an_annotation_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_boxes(data)
