"""Raw captures of Polycam: keyframes on a clock of 30 Hz, each with the camera that fits its image."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gapdata.errors import SourceError
from gapdata.geometry.consistency import compare_surfaces, sample_surface
from gapdata.sources.polycam import PolycamScan, without_black_border
from gapdata.sources.raw_clock import on_raw_clock
from gapdata.sources.rgbd import RgbdFolder
from gapdata.sources.stamps import changed_file
from gapdata.synthetic.formats.polycam import OFF, keyframes, not_corrected
from tests.support.phones import FRAMES, WIDTH, Twin, held_poses, open_capture, present, upright_poses, write_twin


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Twin:
    return write_twin("polycam", tmp_path_factory.mktemp("polycam"))


@pytest.fixture
def copy(twin: Twin, tmp_path: Path) -> Path:
    return Path(shutil.copytree(twin.capture, tmp_path / "in" / "room"))


def stamps(capture: Path) -> list[str]:
    return sorted(path.stem for path in (capture / "keyframes/cameras").iterdir())


def corrected() -> list[int]:
    """Return the keyframes that count."""
    return [frame for frame in keyframes(FRAMES) if frame not in not_corrected(FRAMES)]


def edit(path: Path, **changes: object) -> None:
    values = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in {**values, **changes}.items() if value is not ...}))


def test_keyframes_have_the_poses_and_moments_of_the_walk(twin: Twin) -> None:
    scan = twin.open()
    assert present(scan) == corrected()
    assert scan.notes["frame_not_corrected"] == 2
    truth = held_poses(corrected(), 90)
    found = upright_poses(scan, corrected())
    assert np.abs(found - truth).max() < 1e-9
    assert scan.world_up is not None
    assert np.allclose(scan.world_up, [0, 1, 0])


def test_the_files_say_what_the_scan_gives(twin: Twin) -> None:
    """Read without the reader: plain JSON, and OpenCV for pixels."""
    scan, folder = twin.open(), twin.capture / "keyframes"
    kind, aligned = "corrected_", sorted(path.stem for path in (folder / "corrected_cameras").iterdir())
    for frame, stamp in list(zip(present(scan), aligned, strict=True))[::4]:
        values = json.loads((folder / f"{kind}cameras" / f"{stamp}.json").read_text())
        pose = np.array([[values[f"t_{row}{column}"] for column in range(4)] for row in range(3)])
        assert np.allclose(scan.camera_to_world[frame][:3], pose * [1, -1, -1, 1])
        camera, depth = scan.color_camera(frame), scan.depth_camera(frame)
        assert (camera.fx, camera.cx, camera.width) == pytest.approx((values["fx"], values["cx"], WIDTH))
        assert depth.fx == pytest.approx(values["fx"] / 2)
        assert depth.cx == pytest.approx((values["cx"] + 0.5) / 2 - 0.5)
        stored = cv2.imread(str(folder / f"{kind}images" / f"{stamp}.jpg"))
        assert np.array_equal(scan.color(frame), stored[..., ::-1])
        assert np.array_equal(scan.depth(frame), cv2.imread(str(folder / "depth" / f"{stamp}.png"), -1))
        confidence = scan.confidence(frame)
        written = cv2.imread(str(folder / "confidence" / f"{stamp}.png"), -1)
        assert confidence is not None
        assert np.array_equal(np.array([0, 127, 255])[confidence], written)


def test_depth_of_neighbours_agrees_and_would_not_with_the_cameras_as_recorded(twin: Twin, copy: Path) -> None:
    def misalignment(scan: PolycamScan, one: int, other: int) -> float:
        surfaces = [sample_surface(scan.depth(frame), scan.depth_camera(frame)) for frame in (one, other)]
        step = np.linalg.inv(scan.camera_to_world[other]) @ scan.camera_to_world[one]
        return compare_surfaces(surfaces[0], surfaces[1], step).misalignment

    scan = twin.open()
    lonely = not_corrected(FRAMES)[0]
    place = corrected().index(next(frame for frame in corrected() if frame > lonely))
    before, after = corrected()[place - 1], corrected()[place]
    assert isinstance(scan, PolycamScan)
    assert misalignment(scan, before, after) < 0.005
    shutil.rmtree(copy / "keyframes/corrected_cameras")
    recorded = open_capture(copy)
    assert isinstance(recorded, PolycamScan)
    assert present(recorded) == keyframes(FRAMES)
    surfaces = [
        sample_surface(one.depth(frame), one.depth_camera(frame)) for one, frame in ((recorded, lonely), (scan, after))
    ]
    step = np.linalg.inv(scan.camera_to_world[after]) @ recorded.camera_to_world[lonely]
    assert compare_surfaces(surfaces[0], surfaces[1], step).misalignment > np.linalg.norm(OFF) / 2


def test_corrections_of_a_minority_are_not_mixed_with_recorded_cameras(copy: Path) -> None:
    for stamp in stamps(copy)[3:]:
        (copy / "keyframes/corrected_cameras" / f"{stamp}.json").unlink(missing_ok=True)
    scan = open_capture(copy)
    assert present(scan) == keyframes(FRAMES)
    assert scan.notes["correction_of_a_minority_not_used"] == 3
    shutil.rmtree(copy / "keyframes/corrected_cameras")
    assert np.array_equal(scan.camera_to_world, open_capture(copy).camera_to_world, equal_nan=True)


def test_intrinsics_follow_each_frame(twin: Twin) -> None:
    scan = twin.open()
    lengths = [scan.color_camera(frame).fx for frame in present(scan)]
    assert 0.0005 < max(lengths) / min(lengths) - 1 < 0.003
    assert scan.color_intrinsics.fx == pytest.approx(np.median(lengths), rel=1e-3)


def test_the_mask_covers_the_black_border_of_undistorted_images_only(twin: Twin) -> None:
    scan = twin.open()
    for frame in present(scan):
        mask = scan.color_mask(frame)
        assert mask is not None
        assert set(np.unique(mask)) == {0, 255}
        assert scan.color(frame)[mask == 255].max(axis=-1).min() > 0
        assert (mask[12:-12, 12:-12] == 255).mean() > 0.97
        assert not mask[0].any()
        assert not mask[:, 0].any()


def test_a_dark_thing_inside_the_image_is_not_a_border() -> None:
    image = np.full((40, 60, 3), 90, dtype=np.uint8)
    image[10:20, 10:20] = 0
    assert without_black_border(image) is None
    image[:, :4] = 0
    mask = without_black_border(image)
    assert mask is not None
    assert (mask[10:20, 10:20] == 255).all()
    assert not mask[:, :4].any()


def test_a_clock_of_30_hz_orders_crowded_stamps_and_cuts_pauses() -> None:
    assert on_raw_clock([], 1000) == []
    assert on_raw_clock([7, 7 + 1000, 7 + 1033, 7 + 1034, 7 + 1500], 1000) == [0, 30, 31, 32, 45]
    hour = 3_600_000_000
    assert on_raw_clock([0, hour, hour + 1_000_000], 1_000_000) == [0, 1800, 1830]


@pytest.mark.parametrize("older", ["with the keyframes folder itself", "in capital letters"])
def test_other_ways_to_the_same_capture(copy: Path, twin: Twin, older: str) -> None:
    place = copy / "keyframes"
    if older == "in capital letters":
        (copy / "keyframes").rename(copy / "Keyframes")
        place = copy
    scan = open_capture(place)
    assert present(scan) == corrected()
    assert np.array_equal(scan.camera_to_world, twin.open().camera_to_world, equal_nan=True)


IMAGES, CAMERAS = ("images", "corrected_images"), ("cameras", "corrected_cameras")
Damage = Callable[[Path, list[str]], object]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def for_all(change: Callable[[Path], None], paths: Iterable[Path]) -> None:
    for path in paths:
        change(path)


@pytest.mark.parametrize(
    ("damage", "note"),
    [
        (lambda folder, names: (folder / "depth" / f"{names[2]}.png").unlink(), "frame_without_depth"),
        (lambda folder, names: cut(folder / "corrected_cameras" / f"{names[2]}.json"), "frame_with_damaged_camera"),
        (
            lambda folder, names: edit(folder / "corrected_cameras" / f"{names[2]}.json", t_11=None),
            "frame_with_damaged_camera",
        ),
        (
            lambda folder, names: edit(folder / "corrected_cameras" / f"{names[2]}.json", fx=0),
            "frame_with_impossible_intrinsics",
        ),
        (
            lambda folder, names: [(folder / kind / f"{names[2]}.jpg").unlink() for kind in IMAGES],
            "frame_without_color",
        ),
    ],
)  # fmt: skip
def test_a_damaged_keyframe_is_left_out_and_counted(copy: Path, damage: Damage, note: str) -> None:
    damage(copy / "keyframes", stamps(copy))
    scan = open_capture(copy)
    assert scan.notes[note] == 1
    lost = keyframes(FRAMES)[2]
    assert present(scan) == [frame for frame in corrected() if frame != lost]


def test_a_missing_confidence_image_is_counted_and_the_frame_stays(copy: Path) -> None:
    (copy / "keyframes/confidence" / f"{stamps(copy)[2]}.png").unlink()
    scan = open_capture(copy)
    assert scan.notes["frame_without_confidence"] == 1
    assert scan.confidence(keyframes(FRAMES)[2]) is None
    assert scan.confidence(keyframes(FRAMES)[3]) is not None


def test_a_pose_that_is_not_finite_leaves_a_frame_without_pose(copy: Path) -> None:
    edit(copy / "keyframes/corrected_cameras" / f"{stamps(copy)[2]}.json", t_03=float("nan"))
    scan = open_capture(copy)
    assert present(scan) == corrected()
    assert [not np.isfinite(scan.camera_to_world[frame]).all() for frame in keyframes(FRAMES)[:4]] == [0, 0, 1, 0]


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        ("depth", lambda scan, frame: scan.depth(frame)),
        ("confidence", lambda scan, frame: scan.confidence(frame)),
        ("corrected_images", lambda scan, frame: scan.color(frame)),
        ("corrected_images", lambda scan, frame: scan.color_mask(frame)),
    ],
)
@pytest.mark.parametrize("damage", ["cut", "resized"])
def test_a_damaged_image_is_an_error_that_names_file_and_frame(
    copy: Path, kind: str, read: Callable[[PolycamScan, int], object], damage: str
) -> None:
    frame = keyframes(FRAMES)[2]
    path = next((copy / "keyframes" / kind).glob(f"{stamps(copy)[2]}.*"))
    if damage == "cut":
        cut(path)
    else:
        image: NDArray[np.uint8] = cv2.imread(str(path), -1)
        cv2.imwrite(str(path), cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_NEAREST))
    scan = open_capture(copy)
    assert isinstance(scan, PolycamScan)
    if (kind, damage) == ("corrected_images", "resized"):
        read = PolycamScan.color
    with pytest.raises(SourceError) as error:
        read(scan, frame)
    assert error.value.frame == frame
    assert path.name in str(error.value)


def test_a_number_beyond_all_floats_costs_its_own_keyframe(copy: Path) -> None:
    stamp = stamps(copy)[3]
    for kind in CAMERAS:
        path = copy / "keyframes" / kind / f"{stamp}.json"
        if path.exists():
            edit(path, t_03=10**400)
    scan = open_capture(copy)
    assert scan.notes["frame_with_damaged_camera"] == 1
    assert keyframes(FRAMES)[3] not in present(scan)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: shutil.rmtree(folder / "depth"), "no complete keyframe .frame without depth: 22.; switch on"),
        (lambda folder: for_all(cut, (folder / "depth").iterdir()), "cut off"),
        (
            lambda folder: [path.write_text("{}") for kind in CAMERAS for path in (folder / kind).iterdir()],
            "has no number fx",
        ),
        (
            lambda folder: for_all(partial(edit, width=100, height=400), (folder / CAMERAS[1]).iterdir()),
            "images of 100x400, but the images are 128x96",
        ),
    ],
)  # fmt: skip
def test_a_capture_that_cannot_be_read_says_why(copy: Path, damage: Callable[[Path], object], words: str) -> None:
    damage(copy / "keyframes")
    with pytest.raises(Exception, match=words):
        open_capture(copy)


def test_the_digest_follows_cameras_and_names_and_not_places(copy: Path, twin: Twin) -> None:
    before = open_capture(copy).digest()
    assert before == twin.open().digest()
    path = copy / "keyframes/corrected_cameras" / f"{stamps(copy)[2]}.json"
    edit(path, fx=json.loads(path.read_text())["fx"] + 0.5)
    changed = open_capture(copy).digest()
    (copy / "keyframes/confidence" / f"{stamps(copy)[3]}.png").write_bytes(b"")
    assert len({before, changed, open_capture(copy).digest()}) == 3


def test_a_build_notices_files_that_are_replaced_below_the_keyframes(copy: Path) -> None:
    dataset = RgbdFolder.open(copy)
    before = dataset.stamps("room")
    path = copy / "keyframes/depth" / f"{stamps(copy)[3]}.png"
    path.write_bytes(b"")
    assert changed_file(before, dataset.stamps("room")) == str(path)
