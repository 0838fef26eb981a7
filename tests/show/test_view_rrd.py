"""A recording for rerun's viewer holds the stored bytes, and everything in it lies where the record says.

It is read with rerun's own reader, in an environment that has the extra.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gapdata.commands.main import main
from gapdata.geometry.pointmap import first_frame_pointmap
from gapdata.records.codec import encode_npy
from gapdata.records.schema import Record
from gapdata.shards.reader import ShardReader
from tests.support.builds import write_build
from tests.support.showing import part_of, room_record

Logged = dict[tuple[str, str], dict[int, Any]]
"""Entity and component -> time on the record's timeline -> value; -1 for what holds at all times."""


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of one scene; the second one has a stored pointmap."""
    record = room_record(3, (96, 72), aligned=True)
    part = part_of(record, (1, 2), "room0000_00-clip-00030")

    points = first_frame_pointmap(
        np.stack([part.depth(frame) for frame in range(2)]), part.cameras, part.camera_to_first, stride=8
    )
    part = replace(part, members={**part.members, "pointmap.npy": encode_npy(points)})
    return write_build(tmp_path_factory.mktemp("rrd") / "build", [record, part])


def test_without_rerun_the_install_line_is_named(
    build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    assert main(["view", str(build), "--save", str(tmp_path / "x.rrd")]) == 2
    assert "needs rerun-sdk, which is not installed; pip install 'gapmllm[rerun]'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def logged(path: Path, timeline: str) -> Logged:
    """What a recording holds on one timeline, by rerun's own reader."""
    reader = pytest.importorskip("rerun.chunk").RrdReader(str(path))
    assert len(reader.recordings()) == len(reader.blueprints()) == 1
    found: Logged = {}
    for chunk in reader.stream():
        columns = chunk.to_record_batch().to_pydict()
        if not chunk.is_static and timeline not in columns:
            continue
        times = columns.get(timeline, [-1] * chunk.num_rows)
        for name, values in columns.items():
            if ":" in name:
                place = found.setdefault((str(chunk.entity_path), name), {})
                place.update((at, value) for at, value in zip(times, values, strict=True) if value is not None)
    return found


def pose(found: Logged, entity: str, at: int) -> NDArray[np.float64]:
    matrix = np.eye(4)
    # Column by column, as rerun keeps matrices.
    matrix[:3, :3] = np.reshape(found[entity, "Transform3D:mat3x3"][at][0], (3, 3)).T
    matrix[:3, 3] = found[entity, "Transform3D:translation"][at][0]
    return matrix


@pytest.fixture(scope="module")
def saved(build: Path) -> Path:
    pytest.importorskip("rerun")
    path = build.parent / "scene.rrd"
    assert main(["view", str(build), "--scene", "room0000_00", "--save", str(path)]) == 0
    assert [item.name for item in build.parent.iterdir() if item.suffix == ".tmp"] == []
    return path


def test_stored_images_go_in_byte_for_byte(build: Path, saved: Path) -> None:
    for record in ShardReader(build):
        found = logged(saved, record.key)
        for frame, at in enumerate(record.frame_ids):
            color, depth = (found[f"/view/camera/image/{name}", f"{kind}:blob"][at][0] for name, kind in
                            (("rgb", "EncodedImage"), ("depth", "EncodedDepthImage")))  # fmt: skip
            assert bytes(color) == record.members[f"{frame:02d}.jpg"]
            assert bytes(depth) == record.members[f"{frame:02d}.depth.png"]
            assert found["/view/camera/image/depth", "EncodedDepthImage:meter"][at] == [1000.0]
            masks = bytes(found["/view/camera/image/objects", "SegmentationImage:buffer"][at][0])
            np.testing.assert_array_equal(np.frombuffer(masks, np.uint16).reshape(72, 96), record.instances(frame))


def test_depth_projected_back_as_the_viewer_does_gives_the_points_of_the_aligned_world(
    build: Path, saved: Path
) -> None:
    for record in ShardReader(build):
        found, first, points = logged(saved, record.key), record.frame_ids[0], record.pointmap()
        assert record.axis_alignment is not None
        to_world = record.axis_alignment @ record.camera_to_world[0]
        for frame, at in enumerate(record.frame_ids):
            matrix = np.reshape(found["/view/camera/image", "Pinhole:image_from_camera"][at][0], (3, 3)).T
            data = np.frombuffer(bytes(found["/view/camera/image/depth", "EncodedDepthImage:blob"][at][0]), np.uint8)
            depth = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) / 1000
            rows, columns = np.nonzero(depth)
            local = np.stack([(columns - matrix[0, 2]) / matrix[0, 0], (rows - matrix[1, 2]) / matrix[1, 1],
                              np.ones(len(rows))], axis=1) * depth[rows, columns, None]  # fmt: skip
            whole = pose(found, "/view", first) @ pose(found, "/view/camera", at)
            wanted = points[frame][rows, columns] @ to_world[:3, :3].T + to_world[:3, 3]
            np.testing.assert_allclose(local @ whole[:3, :3].T + whole[:3, 3], wanted, atol=1e-4)


def test_boxes_prompts_and_marks_are_those_of_the_record(build: Path, saved: Path) -> None:
    for record in ShardReader(build):
        found, first = logged(saved, record.key), record.frame_ids[0]
        boxes = {name: found["/view/boxes", f"Boxes3D:{name}"][first] for name in
                 ("centers", "half_sizes", "quaternions", "labels")}  # fmt: skip
        assert boxes["labels"] == [item.label for item in record.objects]
        np.testing.assert_allclose(boxes["centers"], [item.center for item in record.objects], atol=1e-5)
        np.testing.assert_allclose(2 * np.array(boxes["half_sizes"]), [item.size for item in record.objects], atol=1e-5)
        for (x, y, z, w), item in zip(boxes["quaternions"], record.objects, strict=True):
            angle = 2 * np.arctan2(np.linalg.norm([x, y, z]), w)
            axis = np.array([x, y, z]) / max(np.linalg.norm([x, y, z]), 1e-12)
            np.testing.assert_allclose(cv2.Rodrigues(axis * angle)[0], item.rotation, atol=1e-5)
        positions = found["/view/prompts", "Points3D:positions"][first]
        np.testing.assert_allclose(positions, [prompt.point for prompt in record.prompts], atol=1e-5)
        for frame, at in enumerate(record.frame_ids):
            pixels = [prompt.pixel for prompt in record.prompts if prompt.frame == frame]
            shown = found["/view/camera/image/marks", "Points2D:positions"][at]
            np.testing.assert_allclose(np.reshape(shown, (-1, 2)), np.reshape(pixels, (-1, 2)) + 0.5)


def test_every_view_has_its_own_timeline_and_the_stored_pointmap_its_colours(build: Path, saved: Path) -> None:
    plain, stored = ShardReader(build)
    assert ("/view/points", "Points3D:positions") not in logged(saved, plain.key)
    found = logged(saved, stored.key)
    points = stored.stored_pointmap()
    known = np.isfinite(points).all(axis=-1)
    (positions,) = found["/view/points", "Points3D:positions"].values()
    np.testing.assert_allclose(positions, points[known], atol=1e-6)
    (colors,) = found["/view/points", "Points3D:colors"].values()
    image = np.stack([stored.image(frame)[4::8, 4::8] for frame in range(2)])[known].astype(np.uint32)
    np.testing.assert_array_equal(np.array(colors) >> 8, image[:, 0] << 16 | image[:, 1] << 8 | image[:, 2])


def test_answers_lie_beside_the_truth_and_their_text_stays_in_its_cell(build: Path, tmp_path: Path) -> None:
    pytest.importorskip("rerun")
    record: Record = next(iter(ShardReader(build)))
    prompt = record.prompts[0]
    answer = json.dumps({"label": "a | b <img>`x`", "pointmap": np.add(prompt.point, (0.3, 0.4, 0)).tolist()})
    line = {"id": f"pointmap/{record.key}/{prompt.index}", "key": record.key, "text": answer}
    (tmp_path / "answers.jsonl").write_text(json.dumps(line) + "\n")
    command = ["view", str(build), "--key", record.key, "--predictions", str(tmp_path / "answers.jsonl")]
    assert main([*command, "--save", str(tmp_path / "x.rrd")]) == 0
    found, first = logged(tmp_path / "x.rrd", record.key), record.frame_ids[0]
    (strip,) = found["/view/predictions/errors", "LineStrips3D:strips"][first]
    assert np.linalg.norm(np.subtract(*strip)) == pytest.approx(0.5, abs=1e-5)
    np.testing.assert_allclose(strip[1], prompt.point, atol=1e-5)
    text = found["/view/predictions/answers", "TextDocument:text"][first][0]
    row = next(part for part in text.splitlines() if "a / b" in part)
    assert row.count("|") == 4
    assert "<" not in row
