"""Conversation files of GAP-MLLM and VG-LLM in the versions that exist: tasks, frames, marks, boxes, conventions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gapdata.annotations.conversation import ConversationItem
from gapdata.annotations.gap_json import Conversations, read_conversations
from gapdata.errors import FileError
from gapdata.geometry.boxes import EulerConvention, euler_from_rotation, rotation_from_euler
from tests.conftest import look_from
from tests.support.annotation_records import ALIGNMENT, conversation, detection, images, write_json

FRAMES = (350, 380, 410, 440)
POSES = np.stack([look_from((1, 2, 1.3), 0.4 + 0.1 * index, 0.5) for index in range(4)])
CAMERAS = {
    "cam2img": [[1170.0, 0, 647.75], [0, 1170.0, 483.75], [0, 0, 1]],
    "cam2global": POSES.tolist(),
    "axis_align_matrix": ALIGNMENT.tolist(),
}
NINE = "[0.1, 0.2, 1.5, 0.4, 0.5, 0.6, 0.0, 0.0, 0.0]"
RECONS = '```json\n{"pointmap": [0.12, -0.5, 2.31], "label": "chair"}\n```'
BOX = '```json\n\t{"bbox_3d": ' + NINE + "}\n```"
TEXT = "\nText: The red chair.\nOutput a JSON dictionary"


def upright(count: int, convention: EulerConvention, seed: int = 5) -> list[tuple[str, list[float]]]:
    """Boxes that stand upright in the aligned world, in the first camera, with angles of a convention."""
    rng = np.random.default_rng(seed)
    to_camera = np.linalg.inv(ALIGNMENT @ POSES[0])[:3, :3]
    yaws = rng.uniform(-3, 3, count)
    turns = rotation_from_euler(np.stack([yaws, 0 * yaws, 0 * yaws], axis=1), "extrinsic_zxy")
    angles = euler_from_rotation(to_camera @ turns, convention)
    return [("chair", [*rng.normal(size=3), *rng.uniform(0.2, 1, 3), *row]) for row in angles]


def vertical_axes(item: ConversationItem) -> NDArray[np.float64]:
    """Return the z axis of each box in the camera of the first frame, (B, 3)."""
    assert item.euler is not None
    return rotation_from_euler(item.boxes[:, 6:], item.euler)[:, :, 2]


def read(path: Path, items: Any, **options: Any) -> Conversations:
    return read_conversations(write_json(path / "scannet_det_train_4frames.json", items), **options)


def test_the_published_sample_is_extrinsic(samples: Path) -> None:
    found = read_conversations(samples / "gap-detection-sample.json")
    assert found.euler == "extrinsic_zxy"
    assert "8 as extrinsic_zxy, 0 as intrinsic_zxy" in found.report.notes["euler"]
    (item,) = found.scenes["scene0362_00"]
    assert (item.task, item.frame_ids, len(item.boxes)) == ("det", FRAMES, 8)
    assert item.cameras is not None
    to_aligned = item.cameras.axis_alignment @ item.cameras.camera_to_world[0]
    np.testing.assert_allclose(np.abs(vertical_axes(item) @ to_aligned[2, :3]), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("item", "task"),
    [
        (conversation("<image>" * 4 + "What?", RECONS, images(FRAMES), pixel_coords=[2, 640, 480]), "recons"),
        (detection(upright(2, "extrinsic_zxy"), FRAMES), "det"),
        (detection([], FRAMES), "det"),
        (
            conversation("Frame-0: <image>Frame-1: <image>\nLocalize the first" + TEXT, '{"frame": 1}', images((5, 9))),
            "scanrefer1",
        ),
        (conversation("<image><image>Localize the object" + TEXT, BOX, images((5, 15))), "scanrefer2"),
        (conversation("<image>Localize" + TEXT, '{"frame": 0, "bbox_3d": ' + NINE + "}", images((5,))), "scanrefer"),
        (
            conversation("<image>\nCarefully watch the video and describe the object located at [1, 2, 3] in detail.",
                         "A brown chair.", images((5,)), input_box=[1, 2, 3, 1, 1, 1], iou=0.7),
            "scan2cap",
        ),
    ],
)  # fmt: skip
def test_an_item_is_told_by_what_it_asks_and_answers(tmp_path: Path, item: dict[str, Any], task: str) -> None:
    found = read(tmp_path, [item])
    (read_item,) = found.scenes["scene0000_00"]
    assert read_item.task == task
    assert (read_item.question, read_item.answer) == tuple(turn["value"] for turn in item["conversations"])
    assert read_item.frame_ids == tuple(int(name[-9:-4]) for name in item["images"])
    assert (read_item.source, read_item.index) == ("scannet_det_train_4frames.json", 0)
    assert found.report.split == "train"


def test_the_versions_of_the_format_hold_the_same(tmp_path: Path) -> None:
    first = conversation("<image><image>Localize the object" + TEXT, BOX, images((5, 15)))
    turns = [{"role": role, "content": turn["value"]} for role, turn in
             zip(("user", "assistant"), first["conversations"], strict=True)]  # fmt: skip
    question = "<image>\n<image>\nLocalize the object" + TEXT
    versions = [
        first,
        {"conversations": turns, "images": images((5, 15), prefix="")},
        {"conversations": turns, "image": images((5, 15), prefix="data/media/")},
        conversation(question, BOX.replace("bbox_3d", "box_3d"), images((5, 15), prefix="/x/y/"), num_tokens=77),
    ]
    found = read(tmp_path, versions)
    assert found.report.taken == 4
    assert {(item.scene_id, item.frame_ids, item.task) for item in found.scenes["scene0000_00"]} == {
        ("scene0000_00", (5, 15), "scanrefer2")
    }
    lines = tmp_path / "items.jsonl"
    lines.write_bytes(b"\r\n".join(json.dumps(item).encode() for item in versions) + b"\r\n")
    assert read_conversations(lines).report.taken == 4


def test_a_mark_is_a_frame_and_a_native_pixel(tmp_path: Path) -> None:
    def item(mark: Any) -> dict[str, Any]:
        return conversation("<image>" * 4, RECONS, images(FRAMES), pixel_coords=mark)

    found = read(tmp_path, [item([3, 1295, 0]), item([[0, 5.0, 6]]), item([4, 1, 1]), item([0, -1, 1]), item("x"),
                            item([0, 1.5, 1]), item([[0, 1, 1], [1, 1, 1]])])  # fmt: skip
    assert [entry.mark for entry in found.scenes["scene0000_00"]] == [(3, 1295, 0), (0, 5, 6)]
    assert found.report.ignored == {"mark_is_not_a_frame_and_a_pixel": 5}


@pytest.mark.parametrize("convention", ["extrinsic_zxy", "intrinsic_zxy"])
@pytest.mark.parametrize("cameras", [CAMERAS, {}], ids=["with cameras", "without cameras"])
def test_the_convention_of_a_file_is_told_by_its_upright_boxes(
    tmp_path: Path, convention: EulerConvention, cameras: dict[str, Any]
) -> None:
    items = [detection(upright(6, convention, seed), FRAMES, **cameras) for seed in range(6)]
    found = read(tmp_path, items)
    assert found.euler == convention
    assert found.report.notes["euler"].startswith(f"{convention}; of ")
    for item in found.scenes["scene0000_00"]:
        assert item.euler == convention
        axes = vertical_axes(item)
        np.testing.assert_allclose(np.abs(axes @ axes[0]), 1, atol=1e-6)


@pytest.mark.parametrize("convention", ["extrinsic_zxy", "intrinsic_zxy"])
def test_the_boxes_of_grounding_answers_tell_the_convention_too(tmp_path: Path, convention: EulerConvention) -> None:
    items = []
    for _, values in upright(8, convention):
        nine = json.dumps([round(value, 2) for value in values])
        answer = f'```json\n\t{{"frame": 0, "bbox_3d": {nine}}}\n```'
        items.append(conversation("<image>" * 4 + "Localize" + TEXT, answer, images(FRAMES), **CAMERAS))
    assert read(tmp_path, items).euler == convention


def test_an_undecided_file_must_be_told(tmp_path: Path) -> None:
    tilted = [("chair", [0, 0, 1, 1, 1, 1, angle, 0.7 * angle, 1 - angle]) for angle in np.linspace(0.1, 1, 8)]
    items = [detection(tilted, FRAMES, **CAMERAS)]
    found = read(tmp_path, items)
    assert found.euler is None
    assert found.report.notes["euler"].startswith("undecided; of 8 boxes that differ between the conventions, ")
    assert "say which it is" in found.report.notes["boxes"]
    assert found.scenes["scene0000_00"][0].euler is None
    told = read(tmp_path, items, euler="intrinsic_zxy")
    assert told.report.notes["euler asked for"] == "intrinsic_zxy"
    assert told.scenes["scene0000_00"][0].euler == "intrinsic_zxy"
    assert len(told.scenes["scene0000_00"][0].boxes) == 8


def test_being_told_against_the_evidence_is_reported(tmp_path: Path) -> None:
    found = read(tmp_path, [detection(upright(8, "extrinsic_zxy"), FRAMES, **CAMERAS)], euler="intrinsic_zxy")
    assert found.euler == "intrinsic_zxy"
    assert found.report.notes["euler asked for"] == "intrinsic_zxy, though the file's boxes follow extrinsic_zxy"


def test_metadata_and_cameras_are_kept(tmp_path: Path) -> None:
    metadata = {"dataset": "scanrefer", "question_type": "unique", "ann_id": "0", "object_id": "4"}
    item = conversation("<image>" * 4 + "Localize" + TEXT, BOX, images(FRAMES), metadata=metadata, target="chair",
                        gt_bbox=[1] * 9, prompt="Localize", spar_info={"x": 1}, **CAMERAS)  # fmt: skip
    (read_item,) = read(tmp_path, [item]).scenes["scene0000_00"]
    assert read_item.metadata == {"metadata": metadata, "target": "chair", "gt_bbox": [1] * 9, "prompt": "Localize"}
    assert read_item.cameras is not None
    assert read_item.cameras.intrinsics is not None
    assert read_item.cameras.intrinsics.tolist() == CAMERAS["cam2img"]
    np.testing.assert_array_equal(read_item.cameras.camera_to_world, POSES)


def broken(**changes: Any) -> dict[str, Any]:
    return {**conversation("<image>" * 4 + "Localize" + TEXT, BOX, images(FRAMES)), **changes}


def turns(*texts: Any, roles: Sequence[object] = ("human", "gpt", "human")) -> list[dict[str, Any]]:
    return [{"from": role, "value": text} for role, text in zip(roles, texts, strict=False)]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ("text", "not_an_object"),
        (broken(images=[]), "no_images"),
        (broken(images={"a": 1}), "no_images"),
        (broken(images=["a/b.jpg"]), "image_path_without_scene_and_frame"),
        (broken(images=["video.mp4"]), "image_path_without_scene_and_frame"),
        (broken(images=images((1, 2)) + images((1, 2), "scene0001_00")), "images_of_several_scenes"),
        (broken(images=images((1, 2))), "placeholders_and_images_differ_in_number"),
        (broken(conversations=turns("a")), "not_one_question_and_one_answer"),
        (broken(conversations=turns("a", "b", "c")), "not_one_question_and_one_answer"),
        (broken(conversations=turns("a", "b", roles=("gpt", "human"))), "not_one_question_and_one_answer"),
        (broken(conversations=turns("a", "b", roles=([], {}))), "not_one_question_and_one_answer"),
        (broken(conversations=turns("a", " ")), "answer_is_not_text"),
        (broken(conversations=turns(5, "b")), "question_is_not_text"),
        (broken(conversations=turns("hello", "world")), "unknown_task"),
        (broken(boxes=5), "boxes_are_not_a_list"),
        (broken(boxes=[{"label": "chair", "bbox_3d": [1, 2]}]), "box_without_label_or_nine_finite_numbers"),
        (broken(boxes=[{"label": "chair", "bbox_3d": [float("nan")] * 9}]), "box_without_label_or_nine_finite_numbers"),
        (broken(boxes=[{"label": "", "bbox_3d": [1] * 9}]), "box_without_label_or_nine_finite_numbers"),
        (broken(**CAMERAS | {"cam2global": [[[float("-inf")] * 4] * 4] * 4}), "invalid_cameras"),
        (broken(**CAMERAS | {"axis_align_matrix": None}), "invalid_cameras"),
    ],
)
def test_a_damaged_item_is_left_out_with_its_reason(tmp_path: Path, item: Any, reason: str) -> None:
    found = read(tmp_path, [broken(), item, broken()])
    assert [entry.index for entry in found.scenes["scene0000_00"]] == [0, 2]
    assert found.report.ignored == {reason: 1}
    assert found.report.examples[reason][0].startswith("item 1")


def test_scenes_outside_the_data_set_are_counted(tmp_path: Path) -> None:
    found = read(tmp_path, [broken(), broken(images=images(FRAMES, "scene0707_00"))], scene_ids=["scene0000_00"])
    assert (found.report.taken, found.report.ignored) == (1, {"scene_not_in_data_set": 1})


def test_metadata_that_is_not_finite_or_too_large_is_left_out_and_named(tmp_path: Path) -> None:
    deep: Any = 1
    for _ in range(20):
        deep = [deep]
    found = read(
        tmp_path, [broken(metadata={"a": float("nan")}, target="x" * 200_000, gt_box=deep, iou=10**30, tag="3d")]
    )
    assert found.scenes["scene0000_00"][0].metadata == {"tag": "3d"}
    assert found.report.defects == {"metadata_too_large_or_not_finite": 4}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("scene0000_00/00001.jpg"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("conversations", "images", "pixel_coords", "boxes", "cam2global", "axis_align_matrix", "cam2img", "metadata")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4), st.booleans())
def test_any_json_in_any_field_is_taken_or_left_out(tmp_path: Path, changes: dict[str, Any], camera: bool) -> None:
    item = broken(**(CAMERAS if camera else {})) | changes
    found = read(tmp_path, [item, {"conversations": changes}, changes])
    assert found.report.items == 3 == found.report.taken + sum(found.report.ignored.values())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80))
def test_random_bytes_raise_only_annotation_errors(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "random.jsonl"
    path.write_bytes(b'{"images": ["s/1.jpg"], ' + data)
    with suppress(FileError):
        read_conversations(path)
