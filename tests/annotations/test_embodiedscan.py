"""EmbodiedScan's pickles: boxes in the aligned world, frames by raw index, defects counted and named."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gapdata.annotations.embodiedscan import read_embodiedscan
from gapdata.annotations.frame_names import frame_of_path, scene_of_name
from gapdata.errors import FileError
from tests.support.annotation_records import ALIGNMENT, CATEGORIES, instance, sample, write_embodiedscan


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "embodiedscan_infos_val.pkl"


def euler(a: float, b: float, c: float) -> np.ndarray:
    """Rz(a) Rx(b) Ry(c) from its three factors."""
    (sa, sb, sc), (ca, cb, cc) = np.sin([a, b, c]), np.cos([a, b, c])
    rz = np.array([[ca, -sa, 0], [sa, ca, 0], [0, 0, 1]])
    rx = np.array([[1, 0, 0], [0, cb, -sb], [0, sb, cb]])
    ry = np.array([[cc, 0, sc], [0, 1, 0], [-sc, 0, cc]])
    return rz @ rx @ ry


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_scene_is_read_with_names_rotations_and_raw_frames(path: Path, protocol: int) -> None:
    numbers = [1.0, 2.0, 3.0, 0.4, 0.5, 0.6, 0.3, -0.2, 0.9]
    found = read_embodiedscan(
        write_embodiedscan(path, [sample(instances=[instance(3, 4, numbers), instance(0)])], protocol=protocol)
    )
    assert found.categories == CATEGORIES
    scene = found.of("scannet")["scene0000_00"]
    np.testing.assert_array_equal(scene.axis_alignment, ALIGNMENT)
    assert [(box.object_id, box.label) for box in scene.boxes] == [(3, "kitchen island"), (0, "chair")]
    assert (scene.boxes[0].center.tolist(), scene.boxes[0].size.tolist()) == (numbers[:3], numbers[3:6])
    np.testing.assert_allclose(scene.boxes[0].rotation, euler(0.3, -0.2, 0.9), atol=1e-12)
    assert scene.visible == {0: (3, 0), 10: (0,), 40: ()}
    assert (found.report.split, found.report.items, found.report.taken) == ("val", 1, 1)


def test_arrays_and_lists_hold_the_same(path: Path, tmp_path: Path) -> None:
    as_lists = [instance(3, 2, [1, 2, 3, 1, 1, 1, 0.5, 0, 0])]
    as_arrays = [{"bbox_3d": np.array(as_lists[0]["bbox_3d"]), "bbox_label_3d": np.int64(2), "bbox_id": np.int64(3)}]
    frames = {0: [0], 10: []}, {0: np.array([0]), 10: np.array([])}
    first = read_embodiedscan(write_embodiedscan(path, [sample(frames=frames[0], instances=as_lists)]))
    second = read_embodiedscan(write_embodiedscan(tmp_path / "b.pkl", [sample(frames=frames[1], instances=as_arrays)]))
    one, other = first.of("scannet")["scene0000_00"], second.of("scannet")["scene0000_00"]
    assert one.visible == other.visible == {0: (3,), 10: ()}
    np.testing.assert_array_equal(one.boxes[0].rotation, other.boxes[0].rotation)
    assert second.report.split is None


def test_only_the_scenes_asked_for_are_kept_and_the_rest_is_counted(path: Path) -> None:
    samples = [sample(f"scene{index:04d}_00") for index in range(4)]
    others = [sample("a0b1-c2", data_set="3rscan"), sample("x/region1", data_set="matterport3d")]
    found = read_embodiedscan(write_embodiedscan(path, [*samples, *others, samples[1]]), {"scannet": {"scene0001_00"}})
    assert set(found.of("scannet")) == {"scene0001_00"}
    assert found.report.ignored == {
        "other_data_set_3rscan": 1,
        "other_data_set_matterport3d": 1,
        "repeated_scene": 1,
        "scene_not_in_data_set": 3,
    }
    assert found.report.items == found.report.taken + sum(found.report.ignored.values())
    assert found.report.examples["scene_not_in_data_set"][0] == "item 0: 'scannet/scene0000_00'"


def test_defective_instances_are_left_out_and_images_still_point_to_the_right_ones(path: Path) -> None:
    instances: list[Any] = [
        {"bbox_label_3d": 2, "bbox_id": 1},  # no box
        instance(5),
        instance(6, box=[0, 0, 0, 1, 1, np.nan, 0, 0, 0]),
        instance(7, box=[0, 0, 0, 1, 1, 0, 0, 0, 0]),
        instance(8, category=99),
        instance(5, category=3),
        {"bbox_3d": [0, 0, 0, 1, 1, 1, 0, 0, 0], "bbox_label_3d": 2, "bbox_id": "x"},
        "no instance",
        instance(9),
    ]
    frames = {0: list(range(9)), 10: [8, 1, 8]}
    found = read_embodiedscan(write_embodiedscan(path, [sample(frames=frames, instances=instances)]))
    scene = found.of("scannet")["scene0000_00"]
    assert [box.object_id for box in scene.boxes] == [5, 9]
    assert scene.visible == {0: (5, 9), 10: (9, 5)}
    assert found.report.defects == {
        "box_without_extent": 1,
        "instance_without_box": 3,
        "instance_without_id_or_label": 1,
        "repeated_object_id": 1,
        "unknown_category": 1,
    }
    assert found.report.examples["unknown_category"] == ("scene0000_00 4: 99",)


def test_images_that_are_no_frames_of_the_scene_are_left_out(path: Path) -> None:
    item = sample(frames={0: [0], 10: [0, 5], 20: [1]})
    item["images"] += [dict(item["images"][0]), {"img_path": "scannet/posed_images/scene0009_00/00000.jpg"}, None]
    found = read_embodiedscan(write_embodiedscan(path, [item]))
    assert found.of("scannet")["scene0000_00"].visible == {0: (3,), 20: (7,)}
    assert found.report.defects == {
        "image_that_is_not_a_frame_of_the_scene": 2,
        "image_with_wrong_visible_instances": 1,
        "repeated_image": 1,
    }
    assert found.report.examples["repeated_image"] == ("scene0000_00 3",)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"axis_align_matrix": np.full((4, 4), -np.inf)}, "sample_without_axis_alignment"),
        ({"axis_align_matrix": None}, "sample_without_axis_alignment"),
        ({"instances": None}, "sample_without_instances"),
        ({"images": {}}, "sample_without_images"),
        ({"sample_idx": "scannet/../../etc"}, "sample_without_name"),
        ({"sample_idx": 5}, "sample_without_name"),
    ],
)
def test_a_damaged_sample_is_left_out_with_its_reason(path: Path, change: dict[str, Any], reason: str) -> None:
    found = read_embodiedscan(write_embodiedscan(path, [sample() | change, sample("scene0001_00"), 7]))
    assert set(found.of("scannet")) == {"scene0001_00"}
    assert found.report.ignored == {reason: 1, "not_a_sample": 1}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([1], "lacks data_list"),
        ({"data_list": []}, "metainfo lacks categories"),
        (
            {"metainfo": {"categories": {"a": 1, "b": 1}}, "data_list": []},
            "category 'b' has an invalid name, no valid number, or the number of another category",
        ),
        ({"metainfo": {"categories": {}}, "data_list": [os.system]}, "uses '"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it(path: Path, content: Any, problem: str) -> None:
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(FileError) as caught:
        read_embodiedscan(path)
    assert str(caught.value).startswith(f"{path}: {problem}")


def test_a_missing_file_is_an_error_that_names_it(path: Path) -> None:
    with pytest.raises(FileError, match="does not exist; check the name"):
        read_embodiedscan(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("scene0362_00/00350.jpg", ("scene0362_00", 350)),
        ("scannet/posed_images/scene0000_00/00000.jpg", ("scene0000_00", 0)),
        ("data/media/scannet/posed_images/scene0000_01/05510.png", ("scene0000_01", 5510)),
        ("/somewhere/scans/scene0000_00/color/350.jpg", ("scene0000_00", 350)),
        ("spar/scannet/images/scene0000_00/image_color/7.jpg", ("scene0000_00", 7)),
        ("scene0000_00/frame-000350.color.jpg", ("scene0000_00", 350)),
        ("a\\scene0000_00\\00350.JPG", ("scene0000_00", 350)),
        ("color/350.jpg", None),
        ("00350.jpg", None),
        ("scene0000_00/350.mp4", None),
        ("scene0000_00/999999.jpg", None),
        ("scene0000_00/3_5.jpg", None),
        ("../00350.jpg", None),
        (5, None),
        ("x/" * 600 + "scene0000_00/1.jpg", None),
    ],
)
def test_paths_of_images_name_scene_and_raw_index(text: Any, expected: tuple[str, int] | None) -> None:
    assert frame_of_path(text) == expected


def test_scenes_are_named_with_or_without_their_data_set() -> None:
    assert scene_of_name("scannet/scene0000_00") == scene_of_name("scene0000_00") == "scene0000_00"
    assert scene_of_name("scannet/../x") is scene_of_name("3rscan/a") is scene_of_name(None) is None
