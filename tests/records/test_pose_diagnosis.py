"""What is wrong with the poses of a scan is named with its cure, on real and on synthetic frames; good scans are left
alone.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from gapdata.commands.main import main
from gapdata.geometry.pose_convention import TO_AXES, PoseConvention
from gapdata.geometry.pose_names import AXES
from gapdata.geometry.pose_search import Finding, explain
from gapdata.geometry.pose_trials import Reading, Trials
from gapdata.sources.frame_reading import FrameReading
from gapdata.sources.rgbd import RgbdFolder
from tests.support.pose_corruptions import MISTAKES, OPENGL, Capture, kitchen, late, redwood, room, shaken, stretched

TRUE = {"direction": "camera-to-world", "axes": "opencv", "metres": 1.0, "units": 1000.0, "shift": 0, "camera": 1.0}
CURES: dict[str, dict[str, object]] = {
    "direction": {"direction": "world-to-camera"},
    "axes": {"axes": "opengl"},
    "direction and axes": {"direction": "world-to-camera", "axes": "opengl"},
    "left-handed": {"axes": "unity"},
    "millimetres": {"metres": 0.001},
    "centimetres": {"metres": 0.01},
    "direction and millimetres": {"direction": "world-to-camera", "metres": 0.001},
    "depth doubled": {},
    "depth halved": {},
    "depth times five": {},
    "depth of a fifth": {},
    "depth in metres": {},
    "late by six": {"shift": 6},
    "intrinsics of another size": {"camera": 0.8},
    "short focal lengths": {"camera": 1.25},
    "rotations by column": {"direction": "rotation-inverted"},
}
WHOLE = slice(None)
SPARSE = slice(0, None, 6)
"""One frame a second."""
IN_PARTS = ("direction", "axes", "millimetres", "depth doubled", "depth halved")
"""Mistakes that are looked for in parts of the kitchen, too."""
IN_A_ROOM = ("direction and axes", "left-handed", "centimetres", "depth in metres", "short focal lengths")
"""One of each kind: the kitchen has them all."""


def judged(scan: Capture) -> Finding:
    return explain(Trials(frames=scan.posed_depth()), Reading(units_per_metre=scan.units))


def cured(finding: Finding) -> dict[str, object]:
    assert finding.cure is not None, finding
    convention, camera = finding.cure.convention, finding.cure.focal * finding.cure.resolution
    return {
        "direction": convention.direction,
        "axes": convention.axes,
        "metres": convention.metres_per_unit,
        "units": finding.cure.units_per_metre,
        "shift": finding.cure.pose_shift,
        "camera": pytest.approx(camera, rel=0.03),
    }


@pytest.fixture(scope="module")
def captures(samples: Path) -> dict[str, Capture]:
    return {"kitchen": kitchen(samples), "redwood": redwood(samples), "room": room()}


def test_every_mistake_has_its_cure_here() -> None:
    assert CURES.keys() == MISTAKES.keys()
    assert TO_AXES.keys() == AXES.keys()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_real_scan_is_named(captures: dict[str, Capture], mistake: str) -> None:
    finding = judged(MISTAKES[mistake](captures["kitchen"]))
    assert cured(finding) == {**TRUE, **CURES[mistake]}
    assert finding.cured.misalignment < 0.015


@pytest.mark.parametrize("part", [SPARSE, slice(120, 170)], ids=str)
@pytest.mark.parametrize("mistake", IN_PARTS)
def test_a_mistake_in_a_part_of_it_is_named(captures: dict[str, Capture], mistake: str, part: slice) -> None:
    assert cured(judged(MISTAKES[mistake](captures["kitchen"].part(part)))) == {**TRUE, **CURES[mistake]}


@pytest.mark.parametrize("mistake", IN_A_ROOM)
def test_a_mistake_in_a_synthetic_room_is_named(captures: dict[str, Capture], mistake: str) -> None:
    assert cured(judged(MISTAKES[mistake](captures["room"]))) == {**TRUE, **CURES[mistake]}


@pytest.mark.parametrize("mistake", IN_PARTS)
def test_five_frames_suffice(captures: dict[str, Capture], mistake: str) -> None:
    assert cured(judged(MISTAKES[mistake](captures["redwood"]))) == {**TRUE, **CURES[mistake]}


@pytest.mark.parametrize("name", ["kitchen", "redwood", "room"])
def test_a_good_scan_is_not_cured(captures: dict[str, Capture], name: str) -> None:
    for part in (WHOLE, SPARSE, slice(0, 50), slice(150, 200)):
        scan = captures[name].part(part)
        if len(scan.depth) >= 5:
            finding = judged(scan)
            assert finding.agrees
            assert finding.given.misalignment < 0.015


def test_a_scan_of_drifting_poses_is_not_cured(captures: dict[str, Capture]) -> None:
    scan = captures["kitchen"]
    noisy = Capture(ids=scan.ids, depth=scan.depth, poses=shaken(scan.poses, 0.3, 0.01), camera=scan.camera)
    assert judged(noisy).agrees


@pytest.mark.parametrize(("degrees", "metres"), [(2.0, 0.05), (10.0, 0.3)])
def test_noise_has_no_cure(captures: dict[str, Capture], degrees: float, metres: float) -> None:
    scan = captures["kitchen"]
    noisy = Capture(ids=scan.ids, depth=scan.depth, poses=shaken(scan.poses, degrees, metres), camera=scan.camera)
    finding = judged(noisy)
    assert (finding.agrees, finding.still, finding.cure) == (False, False, None)


def test_a_camera_that_stands_still_says_nothing_about_poses(captures: dict[str, Capture]) -> None:
    scan = captures["room"]
    standing = Capture(
        ids=scan.ids, depth=[scan.depth[0]] * len(scan.depth), poses=shaken(scan.poses[:1].repeat(40, 0), 0.01, 0.001),
        camera=scan.camera,
    )  # fmt: skip
    assert judged(standing).still


# --- files


def write(samples: Path, folder: Path, poses: Callable[[np.ndarray], np.ndarray], depth_late: int = 0) -> Path:
    """A folder of the kitchen's frames with other poses; depth may be that of frames before."""
    source = samples / "7scenes-redkitchen"
    folder.mkdir(parents=True)
    shutil.copy(source / "camera-intrinsics.txt", folder)
    ids = sorted(int(path.name[6:12]) for path in source.glob("*.pose.txt"))
    written = poses(np.stack([np.loadtxt(source / f"frame-{k:06d}.pose.txt") for k in ids]))
    for place, k in enumerate(ids):
        np.savetxt(folder / f"frame-{k:06d}.pose.txt", written[place], fmt="%.9f")
        (folder / f"frame-{k:06d}.color.jpg").symlink_to(source / f"frame-{k:06d}.color.jpg")
        if place >= depth_late:
            depth = source / f"frame-{ids[place - depth_late]:06d}.depth.png"
            (folder / f"frame-{k:06d}.depth.png").symlink_to(depth)
    return folder


def inspected(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(["inspect", str(folder), "--poses", *arguments]) == 0
    return capsys.readouterr().out


def test_inspect_says_what_to_pass(samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(samples, tmp_path / "good", lambda poses: poses)
    write(samples, tmp_path / "inverted", np.linalg.inv)
    write(samples, tmp_path / "scaled", lambda poses: poses @ np.diag([1.37, 1.37, 1.37, 1.0]))
    good, inverted, scaled = inspected(tmp_path, capsys).splitlines()
    assert good == "good: as given they agree within 0.8 cm"
    assert inverted.endswith("read as world-to-camera they agree within 0.8 cm: pass --poses world-to-camera")
    assert scaled.endswith("the rotation is scaled: its columns have length 1.37")
    facts = json.loads(inspected(tmp_path / "inverted", capsys, "--json"))
    assert facts["verdict"] == "cure"
    assert facts["cure"] == "pass --poses world-to-camera"
    assert facts["misalignment_m"] is None
    assert 0 < facts["misalignment_cured_m"] < 0.015


def test_frames_without_depth_are_no_disagreement(
    samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(samples, tmp_path / "lab", lambda poses: poses)
    for depth in sorted(folder.glob("*.depth.png"))[::2]:
        depth.unlink()
        cv2.imwrite(str(depth), np.zeros((480, 640), np.uint16))
    assert inspected(folder, capsys).startswith("lab: as given they agree within")


@pytest.mark.parametrize("factor", [10.0, 39.37, 70.0])
def test_translations_in_no_usual_unit_do_not_pass_by_chance(factor: float, samples: Path, tmp_path: Path) -> None:
    """Cameras that are metres too far apart see a little of the same surface now and then."""
    folder = write(samples, tmp_path / "lab", lambda poses: stretched(poses, factor))
    views = ["--recipe", "demo", "--executor", "inline", "--set", "clips.enabled=false"]
    assert main(["build-shards", "--rgbd", str(folder), "--out", str(tmp_path / "out"), *views]) == 3
    assert json.loads((tmp_path / "out" / "report.json").read_text())["records"] == 0


def test_colour_tells_late_depth_from_late_poses(
    samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    poses = write(samples, tmp_path / "poses", lambda poses: late(poses, 10))
    depth = write(samples, tmp_path / "depth", lambda poses: poses, depth_late=10)
    assert inspected(poses, capsys).strip().endswith("pass --pose-shift 10")
    assert inspected(depth, capsys).strip().endswith("pass --depth-shift 10")
    with (
        RgbdFolder.open(depth, FrameReading(depth_shift=10)).open_scan("depth") as moved,
        RgbdFolder.open(samples / "7scenes-redkitchen").open_scan("7scenes-redkitchen") as good,
    ):
        assert (moved.depth(500) == good.depth(500)).all()


def test_a_refused_build_carries_the_diagnosis_and_its_cure_works(
    samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(samples, tmp_path / "lab", lambda poses: np.linalg.inv(poses @ OPENGL))
    fast = ["--recipe", "demo", "--executor", "inline", "--set", "clips.step=200", "--set", "scene_views.enabled=false"]
    build = ["build-shards", "--rgbd", str(folder), *fast, "--out"]
    assert main([*build, str(tmp_path / "bad")]) == 3
    cure = "pass --poses world-to-camera --axes opengl"
    assert cure in capsys.readouterr().out
    report = json.loads((tmp_path / "bad" / "report.json").read_text())
    assert report["suspects"][0]["suspicion"].endswith(cure)
    assert {item["cure"] for item in json.loads((tmp_path / "bad" / "failed" / "lab.json").read_text())} == {cure}
    assert main([*build, str(tmp_path / "good"), *cure.removeprefix("pass ").split()]) == 0
    assert main([*build, str(tmp_path / "good")]) == 2  # other options are other sources
    assert "lab has changed" in capsys.readouterr().err


def test_scannets_own_frames_are_told_what_is_wrong_and_no_option(
    samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(samples, tmp_path / "scene0000_00", np.linalg.inv)
    camera = "585 0 320 0 0 585 240 0 0 0 1 0 0 0 0 1"
    sizes = {"m_colorWidth": 640, "m_colorHeight": 480, "m_depthWidth": 640, "m_depthHeight": 480}
    cameras = {"m_calibrationColorIntrinsic": camera, "m_calibrationDepthIntrinsic": camera}
    fields = {**sizes, **cameras, "m_depthShift": 1000}
    (folder / "_info.txt").write_text("\n".join(f"{name} = {value}" for name, value in fields.items()))
    text = inspected(folder, capsys)
    assert "the poses are world-to-camera: invert them" in text
    assert "--poses" not in text


# --- options


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("direction", ["camera-to-world", "world-to-camera"])
def test_poses_are_read_as_they_were_written(axes: str, direction: str) -> None:
    poses = room_poses()
    turn = np.eye(4)
    turn[:3, :3] = np.linalg.inv(TO_AXES[axes])
    written = poses @ turn if np.linalg.det(turn) > 0 else np.linalg.inv(turn) @ poses @ turn
    written = stretched(np.linalg.inv(written) if direction == "world-to-camera" else written, 100)
    convention = PoseConvention(direction=direction, axes=axes, metres_per_unit=0.01)
    read = convention.camera_to_world(np.concatenate([written, np.full((1, 4, 4), -np.inf)]))
    relative = np.linalg.inv(read[0]) @ read[:-1]
    np.testing.assert_allclose(relative, np.linalg.inv(poses[0]) @ poses, atol=1e-9)
    assert not np.isfinite(read[-1]).any()


def room_poses() -> np.ndarray:
    rng = np.random.default_rng(3)
    return shaken(np.stack([np.eye(4)] * 4), 40.0, 1.0) @ shaken(np.stack([np.eye(4)] * 4), 25.0, rng.uniform(1, 2))


@pytest.mark.parametrize(
    "arguments", ["--axes maya", "--poses inverse", "--pose-units 0", "--pose-units parsec", "--pose-shift x"]
)
def test_what_cannot_be_meant_is_refused(arguments: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["build-shards", "--rgbd", str(tmp_path), *arguments.split()])
    assert stopped.value.code == 2
