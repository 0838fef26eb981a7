"""Folders of other formats in which one file is damaged, and the parsers of all formats by themselves."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gapdata.errors import SourceError
from tests.fuzz.cases import attempt, linked, replaced
from tests.fuzz.mutations import damaged, damaged_json, pick

OPTIONS = {"3rscan": "3rscan"}
"""The option that reads a format; ``rgbd`` for all others."""
LARGE = 1 << 19
"""Bytes from which on a file is damaged, and an annotation read, in one case of ten only."""
FRAMES = 4
"""Frames of a scan that are read."""


def format_folders(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """A folder in which one file is damaged: images, videos, archives, lists, cameras, annotation."""
    import gapdata
    from gapdata.commands.inspect import format_facts

    homes = {home.name: linked(home, scratch / home.name) for home in sorted((seeds / "formats").iterdir())}
    files = {name: [path for path in sorted(home.rglob("*")) if path.is_file()] for name, home in homes.items()}

    def case(rng: np.random.Generator) -> int:
        name = pick(rng, tuple(homes))
        path = _one_of_a_kind(files[name], rng)
        data = _damaged_file(path, rng)
        large = rng.random() < 0.1 or name not in OPTIONS
        with replaced(path, data):
            dataset = gapdata.open_dataset(**{OPTIONS.get(name, "rgbd"): homes[name]})
            attempt(lambda: dataset.lacks(dataset.scene_ids, splits_given=False))
            with dataset.open_scan(pick(rng, dataset.scene_ids)) as scan:
                attempt(lambda: json.dumps(dict(scan.notes)))
                attempt(scan.digest)
                if large:
                    attempt(lambda: format_facts(scan.describe()))
                    attempt(scan.annotation)
                for frame in np.flatnonzero(scan.present)[:FRAMES].tolist():
                    for read in (partial(scan.color, reduction=2), scan.depth, scan.confidence, scan.color_mask):
                        attempt(partial(read, frame))
                    for look in (scan.color_camera, scan.depth_camera, scan.color_jpeg):
                        attempt(partial(look, frame))
        return len(data)

    return case


def _one_of_a_kind(paths: Sequence[Path], rng: np.random.Generator) -> Path:
    """A file; files of one folder with one ending are together as likely as those of another."""
    while True:
        kind = pick(rng, sorted({(path.parent.name, path.suffix) for path in paths}))
        path: Path = pick(rng, [path for path in paths if (path.parent.name, path.suffix) == kind])
        if path.stat().st_size < LARGE or rng.random() < 0.1:
            return path


def _damaged_file(path: Path, rng: np.random.Generator) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".json" and len(data) < LARGE and rng.random() < 0.7:
        return damaged_json(json.loads(data), rng)
    return damaged(data, rng)


def format_texts(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """Lists, trajectories and calibrations, given to their parsers; a ``ValueError`` is a refusal there."""
    parsers = _parsers(seeds / "formats")
    opened = _opened_files(seeds, scratch)

    def case(rng: np.random.Generator) -> int:
        if rng.random() < 0.2:
            path, sound, read = pick(rng, opened)
            data = damaged(sound, rng)
            path.write_bytes(data)
        else:
            sound, parse = pick(rng, parsers)
            as_tree = sound.lstrip().startswith(b"{") and rng.random() < 0.7
            data = damaged_json(json.loads(sound), rng) if as_tree else damaged(sound, rng)
            read = partial(parse, data)
        try:
            read()
        except ValueError as error:
            raise SourceError(str(error)[:2000].replace("\n", " ")) from error
        return len(data)

    return case


def _parsers(formats: Path) -> list[tuple[bytes, Callable[[bytes], Any]]]:
    """Sound files, and what parses them."""
    from gapdata.sources import icl_nuim, odometry, pose_files, rtabmap, sun3d, tum
    from gapdata.sources.arkit.boxes import parse_boxes
    from gapdata.sources.arkit.cameras import parse_pincam, parse_pincams
    from gapdata.sources.arkit.trajectory import parse_trajectory
    from gapdata.sources.boxes_file import parse_objects
    from gapdata.sources.camera_files import parse_info, parse_intrinsics
    from gapdata.sources.ply_columns import read_columns
    from gapdata.sources.record3d_metadata import parse_metadata
    from gapdata.sources.scannetpp.annotation import parse_groups
    from gapdata.sources.scannetpp.dslr import parse_transforms
    from gapdata.sources.scannetpp.frame_rows import parse_rows
    from gapdata.sources.threerscan.obj_mesh import read_obj

    def found(pattern: str) -> bytes:
        return next(path for path in sorted(formats.glob(pattern)) if path.is_file()).read_bytes()

    metadata = {"h": 40, "w": 30, "K": [38, 0, 0, 0, 38, 0, 19, 14, 1], "fps": 60, "poses": [[0, 0, 0, 1, 0, 0, 0]] * 3}
    info = "".join(
        f"m_calibration{kind}Intrinsic = {' '.join(map(str, np.eye(4).reshape(-1)))}\nm_{kind.lower()}Width = 40\n"
        f"m_{kind.lower()}Height = 30\n"
        for kind in ("Color", "Depth")
    )
    ply = (
        "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
        "property ushort objectId\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n"
    )
    text_model, binary_model = _colmap_models()
    return [
        (found("tum/*/rgb.txt"), tum.parse_list),
        (found("tum/*/groundtruth.txt"), tum.parse_stamped_poses),
        (found("icl-nuim/*/*.gt.freiburg"), icl_nuim.parse_numbered_poses),
        (found("icl-nuim/*/associations.txt"), icl_nuim.parse_associations),
        (found("rtabmap/*/camera_poses.txt"), rtabmap.parse_node_poses),
        (found("rtabmap/*/calib/1.yaml"), rtabmap.parse_node_camera),
        (found("sun3d/*/extrinsics/*.txt"), sun3d.parse_extrinsics),
        (found("quaternions/*/pose.txt"), pose_files.parse_trajectory),
        (found("two-cameras/*/intrinsics.json"), parse_intrinsics),
        ((formats.parent / "stray" / "odometry.csv").read_bytes(), odometry.parse_odometry),
        (found("quaternions/*/objects.json"), partial(parse_objects, axis_alignment=np.eye(4), world_up=None)),
        (json.dumps(metadata).encode(), parse_metadata),
        (f"{info}m_depthShift = 1000\n".encode(), parse_info),
        (f"{ply}0 0 0 1\n1 0 0 1\n0 1 0 2\n3 0 1 2\n".encode(), read_columns),
        (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nf 1/1 2/1 3/1\n", read_obj),
        (b"60.123456 0.1 0.2 -0.3 1.0 2.0 3.0\n60.2 0.1 0.2 -0.3 1.1 2.0 3.0\n", parse_trajectory),
        (b"256 192 212.088 212.088 127.4 98.6992", parse_pincam),
        (b"256 192 212.088 212.088 127.4 98.6992", lambda data: parse_pincams([data, b"256 192 212 212 127.4 98.7"])),
        (next(formats.parent.glob("arkit/3dod/*/*/*_3dod_annotation.json")).read_bytes(), parse_boxes),
        (next(formats.parent.glob("scannetpp/data/*/iphone/pose_intrinsic_imu.json")).read_bytes(), parse_rows),
        (b'{"segGroups": [{"id": 1, "objectId": 1, "label": "chair", "segments": [0, 1]}]}', parse_groups),
        (json.dumps(_transforms()).encode(), parse_transforms),
        (text_model, _model(binary=False)),
        (binary_model, _model(binary=True)),
    ]


def _opened_files(seeds: Path, scratch: Path) -> list[tuple[Path, bytes, Callable[[], Any]]]:
    """Files that are opened and read bit by bit: where a damaged one is written, a sound one, and what reads it."""
    from gapdata.files.lzfse import unpack, unpacked_size
    from gapdata.files.video_header import read_video_header
    from gapdata.sources.scannetpp.depth_bin import open_depth

    def read_depth(path: Path) -> None:
        depth = open_depth(path)
        try:
            for index in range(3):
                depth.image(index)
        finally:
            depth.close()

    found: list[tuple[Path, bytes, Callable[[], Any]]] = []
    for number, place in enumerate(sorted(seeds.glob("scannetpp/*.bin"))):
        path = scratch / f"{number}.bin"
        found.append((path, place.read_bytes(), partial(read_depth, path)))
    video = scratch / "rgb.mp4"
    found.append((video, (seeds / "stray" / "rgb.mp4").read_bytes(), partial(read_video_header, video)))
    packed = scratch / "0.depth"
    stream = b"bvx-" + (64).to_bytes(4, "little") + bytes(range(64)) + b"bvx$"

    def read_packed() -> None:
        data = packed.read_bytes()
        unpacked_size(data)
        unpack(data, 64)

    return [*found, (packed, stream, read_packed)]


def _model(*, binary: bool) -> Callable[[bytes], Any]:
    """A parser of both files of a COLMAP model in one text, which a line of dashes divides."""
    from gapdata.sources.colmap import parse_model

    def parse(data: bytes) -> Any:
        cameras, _, images = data.partition(b"-----")
        return parse_model(cameras, images, binary=binary)

    return parse


def _colmap_models() -> tuple[bytes, bytes]:
    """One camera and two images, as text and in bytes."""
    text = (
        "# Camera list\n1 OPENCV 1920 1440 1600 1600 960 720 0.01 0 0 0\n-----# Image list\n"
        "1 1 0 0 0 0.1 0.2 0.3 1 iphone/frame_000000.jpg\n1.5 2.5 -1\n2 1 0 0 0 0.2 0.2 0.3 1 frame_000010.jpg\n\n"
    )
    little = "<"
    cameras = np.array([1], little + "u8").tobytes() + np.array([1, 4], little + "i4").tobytes()
    cameras += np.array([1920, 1440], little + "u8").tobytes()
    cameras += np.array([1600, 1600, 960, 720, 0.01, 0, 0, 0], little + "f8").tobytes()
    images = np.array([1], little + "u8").tobytes() + np.array([1], little + "u4").tobytes()
    images += np.array([1, 0, 0, 0, 0.1, 0.2, 0.3], little + "f8").tobytes() + np.array([1], little + "u4").tobytes()
    images += b"frame_000000.jpg\0" + np.array([1], little + "u8").tobytes()
    images += np.array([1.5, 2.5], little + "f8").tobytes() + np.array([-1], little + "i8").tobytes()
    return text.encode(), cameras + b"-----" + images


def _transforms() -> dict[str, Any]:
    """nerfstudio's file of the stills of a scene."""
    camera = {"fl_x": 1600.0, "fl_y": 1600.0, "cx": 876.0, "cy": 584.0, "w": 1752, "h": 1168}
    lens = {"k1": 0.01, "k2": 0.0, "k3": 0.0, "k4": 0.0, "camera_model": "OPENCV_FISHEYE"}
    still = {"file_path": "DSC00001.JPG", "mask_path": "DSC00001.png", "is_bad": False}
    frames = [{**still, "transform_matrix": np.eye(4).tolist()}]
    return {**camera, **lens, "frames": frames, "test_frames": frames}
