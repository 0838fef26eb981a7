"""An exported item is what the authors' loader takes, and its answer is true by the exported files alone."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from gapdata.geometry.boxes import OrientedBox, rotation_from_euler
from tests.support.export_builds import FILES, SIZE, load, loader_sample


def test_the_loader_of_the_authors_accepts_every_item(exported: Path) -> None:
    assert {path.name for path in (exported / "annotations").iterdir()} == set(FILES)
    for name, task in FILES.items():
        items = load(exported, name)
        assert items
        for item in items:
            _, answer, images = loader_sample(exported, item)
            assert all(image.shape == (SIZE[1], SIZE[0], 3) for image in images)
            assert ("pixel_coords" in item) == (task == "recons")
            assert {"cam2img", "cam2global", "axis_align_matrix"} <= item.keys() or "train" in name
            assert answer


def test_an_item_has_what_its_task_is_evaluated_by(exported: Path) -> None:
    keys = {
        "recons": {"pixel_coords"}, "det": {"boxes"},
        **{name: {"metadata", "target", "gt_bbox", "prompt"} for name in ("scanrefer1", "scanrefer2", "scanrefer")},
        "scan2cap": {"metadata", "input_box", "gt_box", "iou"},
    }  # fmt: skip
    cameras = {"cam2img", "cam2global", "axis_align_matrix"}
    for name, task in FILES.items():
        evaluation = cameras | ({"annotations"} if task == "scan2cap" else set())
        wanted = {"conversations", "images"} | keys[task] | (evaluation if "_val_" in name else set())
        assert {frozenset(item) for item in load(exported, name)} == {frozenset(wanted)}
    (caption,) = load(exported, "scan2cap_val_4frames.json")
    assert caption["annotations"] == ["the chair number 1, said 0 times.", "the chair number 1, said 1 times."]
    assert caption["metadata"]["object_id"] == "1"
    assert 0.5 < caption["iou"] < 1
    np.testing.assert_allclose(caption["input_box"][3:], [0.9, 1.0, 1.0], atol=1e-5)
    np.testing.assert_allclose(caption["input_box"][:3], caption["gt_box"][:3], atol=0.01)
    for item in load(exported, "scanrefer_val_4frames_stage2.json"):
        assert item["conversations"][0]["value"] == "<image>" * len(item["images"]) + item["prompt"]
        assert item["target"] == "office_chair"


def test_marked_pixels_lie_where_the_answer_says_by_the_exported_files_alone(exported: Path) -> None:
    for item in load(exported, "scannet_recons_train_2frames.json"):
        view, x, y = item["pixel_coords"]
        image = exported / item["images"][view]
        depth = cv2.imread(str(image.with_suffix(".png")), cv2.IMREAD_UNCHANGED)[y, x] / 1000
        matrix = np.loadtxt(image.parent / "intrinsic.txt")
        assert matrix.tolist() == np.loadtxt(image.parent / "depth_intrinsic.txt").tolist()
        ray = [(x - matrix[0, 2]) / matrix[0, 0], (y - matrix[1, 2]) / matrix[1, 1], 1, 1 / depth]
        first = np.loadtxt((exported / item["images"][0]).with_suffix(".txt"))
        point = np.linalg.inv(first) @ np.loadtxt(image.with_suffix(".txt")) @ (depth * np.array(ray))
        answer = json.loads(item["conversations"][1]["value"].strip("`").removeprefix("json"))
        np.testing.assert_allclose(point[:3], answer["pointmap"], atol=0.0051)


def test_boxes_of_answers_are_the_true_ones_in_the_aligned_world(exported: Path) -> None:
    for item in load(exported, "scanrefer_val_4frames_stage2.json"):
        answer = json.loads(item["conversations"][1]["value"].strip("`").removeprefix("json"))["bbox_3d"]
        box = OrientedBox(
            center=np.array(answer[:3]),
            size=np.array(answer[3:6]),
            rotation=rotation_from_euler(np.array(answer[6:]), "extrinsic_zxy"),
        ).transformed(np.array(item["axis_align_matrix"]) @ np.array(item["cam2global"][0]))
        corners = box.corners
        np.testing.assert_allclose((corners.min(0) + corners.max(0)) / 2, item["gt_bbox"][:3], atol=0.03)
        np.testing.assert_allclose(np.ptp(corners, axis=0), item["gt_bbox"][3:6], atol=0.05)
    for item in load(exported, "scannet_det_train_2frames.json"):
        answer = json.loads(item["conversations"][1]["value"].strip("`").removeprefix("json"))
        assert [(box["label"], [round(value, 2) for value in box["bbox_3d"]]) for box in item["boxes"]] == [
            (box["label"], box["bbox_3d"]) for box in answer
        ]
        assert {box["label"] for box in item["boxes"]} == {"chair"}
