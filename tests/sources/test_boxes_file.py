"""``objects.json``: boxes that a user lists beside any capture, in a world that the file states."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gapdata.annotations.label_tables import labels_by_name
from gapdata.commands.main import main
from gapdata.engine.make_plan import planned_digest
from gapdata.engine.recipe import Recipe
from gapdata.errors import SourceError
from gapdata.geometry.boxes import box_corners
from gapdata.geometry.camera import transform
from gapdata.sources.boxes_example import example_text, objects_example
from gapdata.sources.boxes_file import find_objects_file, parse_objects
from gapdata.sources.capture_frames import Y_UP_TO_Z_UP
from gapdata.sources.rgbd import RgbdFolder
from gapdata.synthetic.formats.phone import room_boxes
from tests.support.phones import Twin, open_capture, walk, write_twin

CHAIR: dict[str, Any] = {"label": "chair", "center": [1.0, 2.0, 0.5], "size": [0.4, 0.6, 1.0]}
UP_Y, UP_Z = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Twin:
    return write_twin("3dscanner", tmp_path_factory.mktemp("boxes"))


@pytest.fixture
def copy(twin: Twin, tmp_path: Path) -> Path:
    return Path(shutil.copytree(twin.capture, tmp_path / "in" / "room"))


def text(world: str, *items: object, **fields: object) -> bytes:
    return json.dumps({"world": world, "objects": items, **fields}).encode()


def corners(data: bytes, alignment: NDArray[np.float64] | None, up: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """The sorted corners of the first box, (8, 3) metres, in the scan's world."""
    box = parse_objects(data, alignment, up)[0].box
    assert box is not None
    return np.array(sorted(box.corners.round(6).tolist()))


def test_a_box_without_heading_lies_along_the_axes_of_its_world() -> None:
    expected = sorted(box_corners(CHAIR["center"], CHAIR["size"], np.eye(3)).round(6).tolist())
    for data, up in (
        (text("scan", CHAIR), None),
        (text("scan", CHAIR), UP_Y),
        (text("scan", CHAIR, up=[1, 0, 0]), None),
    ):
        assert np.allclose(corners(data, None, up), expected)


def test_heading_turns_counter_clockwise_seen_from_above() -> None:
    """The point of a box that lies ahead on +x goes towards +y with z up."""
    item = {**CHAIR, "center": [0, 0, 0], "size": [2.0, 0.02, 0.02], "heading": 90}
    assert np.abs(corners(text("aligned", item), np.eye(4), UP_Z)[:, 1]).max() == pytest.approx(1)
    item["heading"] = 30
    box = parse_objects(text("aligned", item), np.eye(4), UP_Z)[0].box
    assert box is not None
    assert np.allclose(box.rotation @ [1, 0, 0], [np.cos(np.pi / 6), 0.5, 0])


@pytest.mark.parametrize("stated", [{}, {"up": [0, 3, 0]}])
def test_both_worlds_of_a_phone_say_the_same_box(stated: dict[str, object]) -> None:
    """x stays, what is y in ARKit's world is z in the aligned one, and what is z there is -y."""
    aligned = {**CHAIR, "heading": 25}
    center, size = CHAIR["center"], CHAIR["size"]
    in_scan = {**aligned, "center": [center[0], center[2], -center[1]], "size": [size[0], size[2], size[1]]}
    one = corners(text("aligned", aligned), Y_UP_TO_Z_UP, UP_Y)
    assert np.allclose(one, corners(text("scan", in_scan, **stated), Y_UP_TO_Z_UP, UP_Y))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "is not valid JSON"),
        (b"[" * 100_000, "is not valid JSON"),
        (b"[]", "is not {"),
        (text("room", CHAIR), "world is 'room', expected"),
        (json.dumps({"objects": []}).encode(), "world is None, expected"),
        (text("scan", CHAIR, scene="x"), "the file has a field 'scene', expected only world, objects, up"),
        (text("scan", CHAIR, up=[0, 0, 0]), "up is a list, expected a vector"),
        (text("scan", CHAIR, up="z"), "up is 'z', expected a vector"),
        (text("aligned", CHAIR, up=[0, 0, 1]), "in the aligned world z is up"),
        (text("scan", CHAIR, 7), r"objects\[1\] is 7, expected an object with label, center, size"),
        (text("scan", {**CHAIR, "centre": [0, 0, 0]}), r"objects\[0\] has a field 'centre', expected only label"),
        (text("scan", {"label": "chair", "size": [1, 1, 1]}), r"objects\[0\] has no center"),
        (text("scan", {**CHAIR, "label": " "}), r"objects\[0\].label is ' ', expected the name"),
        (text("scan", {**CHAIR, "center": [0, 0]}), r"objects\[0\].center is a list, expected three numbers"),
        (text("scan", {**CHAIR, "center": [0, 0, float("nan")]}), r"objects\[0\].center is a list, expected three"),
        (text("scan", {**CHAIR, "center": [0, 0, 4100]}), r"objects\[0\].center is \[0, 0, 4100\], which is not"),
        (text("scan", {**CHAIR, "size": [400, 600, 900]}), r"objects\[0\].size is \[400, 600, 900\], which is not"),
        (text("scan", {**CHAIR, "size": [0.4, 0, 0.9]}), r"objects\[0\].size is \[0.4, 0, 0.9\], which is not"),
        (text("scan", {**CHAIR, "heading": "left"}), r"objects\[0\].heading is 'left', expected degrees"),
        (text("scan", {**CHAIR, "id": -1}), r"objects\[0\].id is -1, expected an integer from 0"),
        (text("scan", {**CHAIR, "id": True}), r"objects\[0\].id is True, expected an integer"),
        (text("scan", {**CHAIR, "id": 70_000}), r"objects\[0\].id is 70000, expected"),
        (text("scan", CHAIR, {**CHAIR, "id": 0}), r"objects\[1\].id is 0, which another object has"),
        (text("scan", *[CHAIR] * 10_001), "has 10,001 objects, at most 10,000"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_entry_and_field(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_objects(data, np.eye(4), UP_Z)


def test_what_a_scan_does_not_know_must_be_said() -> None:
    with pytest.raises(ValueError, match='not known how this scan\'s world lies: write "scan"'):
        parse_objects(text("aligned", CHAIR), None, None)
    with pytest.raises(ValueError, match=r'objects\[0\].heading needs the vertical: write "up"'):
        parse_objects(text("scan", {**CHAIR, "heading": 10}), None, None)
    with pytest.raises(ValueError, match=r"up is not the vertical of this scan, which is \[0, 1, 0\]"):
        parse_objects(text("scan", CHAIR, up=[0, 0, 1]), Y_UP_TO_Z_UP, UP_Y)


def test_the_boxes_of_a_twin_are_those_of_its_room(twin: Twin) -> None:
    scan = twin.open()
    annotation = scan.annotation()
    assert annotation is not None
    truth = room_boxes(walk())
    assert {item.object_id for item in annotation.objects} == set(truth)
    for item in annotation.objects:
        assert item.box is not None
        assert item.label == walk().scene.labels[item.object_id]
        assert np.abs(transform(Y_UP_TO_Z_UP, item.box.corners) - truth[item.object_id].corners).max() < 0.002


def test_boxes_in_another_world_are_counted(copy: Path) -> None:
    item = {**CHAIR, "center": [90, 0, 0]}
    (copy / "objects.json").write_bytes(text("scan", item, CHAIR))
    annotation = open_capture(copy).annotation()
    assert annotation is not None
    assert annotation.notes == {"box_far_from_all_cameras": 1}


def test_any_capture_and_any_folder_of_frames_may_have_the_file(copy: Path, tmp_path: Path) -> None:
    dataset = RgbdFolder.open(copy)
    assert dataset.annotated("room")
    assert dataset.labels("Office_Chair") == {**labels_by_name("office chair"), "raw": "Office_Chair"}
    (copy / "objects.json").rename(copy / "OBJECTS.JSON")
    assert dataset.annotated("room")
    (copy / "OBJECTS.JSON").unlink()
    assert not dataset.annotated("room")
    assert dataset.open_scan("room").annotation() is None
    single = tmp_path / "walk.r3d"
    single.write_bytes(b"")
    (tmp_path / "walk.objects.json").write_bytes(text("scan", CHAIR))
    found = find_objects_file(single)
    assert found is not None
    assert found.path.name == "walk.objects.json"


def test_a_build_notices_that_the_list_changed(copy: Path) -> None:
    dataset, recipe = RgbdFolder.open(copy), Recipe()
    before, stamps = planned_digest(dataset.open_scan("room"), recipe), dataset.stamps("room")
    (copy / "objects.json").write_bytes(text("scan", CHAIR))
    assert planned_digest(dataset.open_scan("room"), recipe) != before
    assert dataset.stamps("room") != stamps


def test_a_broken_list_stops_its_scene_with_one_line(copy: Path) -> None:
    (copy / "objects.json").write_bytes(text("scan", {**CHAIR, "size": None}))
    with pytest.raises(SourceError, match=r"objects\.json: scene room: objects\[0\]\.size is None"):
        open_capture(copy).annotation()


@pytest.mark.parametrize(
    ("label", "names"),
    [
        ("chair", {"nyu40": "chair", "embodiedscan": "chair", "scannet20": "chair", "scannet200": "chair"}),
        ("Couch", {"nyu40": "sofa", "embodiedscan": "couch", "scannet200": "couch", "scanrefer18": "sofa"}),
        ("stool", {"nyu40": "otherprop", "embodiedscan": "stool", "scanrefer18": "others"}),
        ("flux capacitor", {}),
    ],
)
def test_labels_are_found_in_our_taxonomies_by_name(label: str, names: dict[str, str]) -> None:
    found = labels_by_name(label)
    assert found["raw"] == label
    assert {taxonomy: found.get(taxonomy) for taxonomy in names} == names
    assert bool(names) == (len(found) > 1)


def shown_example(capture: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["inspect", str(capture)]) == 0
    said = capsys.readouterr().out
    return dict(json.loads(said[said.index("\n{\n") :]))


def test_inspect_prints_an_example_that_can_be_used_as_it_is(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(copy)]) == 0
    assert "objects_example" not in capsys.readouterr().out
    (copy / "objects.json").unlink()
    example = shown_example(copy, capsys)
    assert main(["inspect", str(copy), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["objects_example"] == example
    (copy / "objects.json").write_text(json.dumps(example))
    scan = open_capture(copy)
    annotation = scan.annotation()
    assert annotation is not None
    (item,) = annotation.objects
    assert item.box is not None
    seen = 0
    for frame in np.flatnonzero(scan.present):
        camera = scan.color_camera(int(frame))
        pixel = camera.project(transform(np.linalg.inv(scan.camera_to_world[frame]), item.box.center[None]))[0]
        seen += bool((pixel > 0).all() and pixel[0] < camera.width and pixel[1] < camera.height)
    assert seen > np.count_nonzero(scan.present) / 2


def test_the_example_of_a_folder_without_a_vertical_states_one(tmp_path: Path) -> None:
    twin = write_twin("nerfstudio", tmp_path)
    (twin.capture / "objects.json").unlink()
    example = objects_example(twin.open())
    assert (example["world"], example["up"]) == ("scan", [0, 0, 1])
    assert json.loads(example_text(example)) == example
    (item,) = parse_objects(example_text(example).encode(), None, None)
    assert item.label == "chair"
