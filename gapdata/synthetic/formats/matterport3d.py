"""Write walks as Matterport3D's houses: one house for each walk, whose stills are the frames of the walk.

Eighteen frames after each other are the stills of one tripod stop (they were not taken from one place, as they are in a
house), in the order of turns and of cameras within them. Houses take turns in how they are stored: folders of the raw
images, zips of them, and folders of the undistorted images only.

Its traps: each camera has its own intrinsics and lens, depth is in 1/4000 m, the list of undistorted images has
OpenGL's axes and counts rows from the bottom, the last stop is in another region, portals look like tripods, a depth
image is missing, and a pose is not finite.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.lens import Lens
from gapdata.synthetic.formats.embodiedscan_infos import SeenImage, four_by_four, room_sample, write_infos
from gapdata.synthetic.formats.image_files import png
from gapdata.synthetic.formats.lenses import BentCamera
from gapdata.synthetic.formats.walk import Walk
from gapdata.synthetic.sensor import jpeg

CAMERAS = (
    (1076.45, 1077.19, 631.116, 513.798),
    (1076.01, 1076.38, 635.509, 511.001),
    (1074.56, 1074.73, 639.97, 514.993),
)
"""fx fy cx cy of the camera that looks up, level and down, of 1280x1024."""
LENSES = ((0.03, -0.06, 0.0004, -0.0003, 0.01), (0.02, -0.04, -0.0002, 0.0003, 0.0), (0.0, 0.0, 0.0, 0.0, 0.0))
"""k1 k2 p1 p2 k3 of these; the last one bends nothing."""
SIZE = (1280, 1024)
STILLS = 18
"""Of a stop: six turns of three cameras."""
UNITS_PER_MILLIMETRE = 4
REGION, OTHER_REGION = 3, 5
WITHOUT_DEPTH, LOST = 4, 10
"""Frames of a walk that lack depth, and whose pose is not finite."""
STORAGE = ("folders", "zips", "undistorted")
DATE = (2017, 9, 18, 0, 0, 0)
FROM_GL = np.diag([1.0, -1.0, -1.0, 1.0])
PLY_HEADER = """ply
format binary_little_endian 1.0
element vertex {vertices}
property float x
property float y
property float z
property uchar red
property uchar green
property uchar blue
element face {faces}
property list uchar int vertex_indices
property int face_material
property int face_segment
property int face_category
end_header
"""


def write(out: Path, walks: Iterable[Walk]) -> list[str]:
    """Write a house for each walk, and return the names of the regions that most of their stills show."""
    names: list[str] = []
    samples: list[dict[str, Any]] = []
    for walk in walks:
        house = house_name(walk)
        storage = STORAGE[len(names) % len(STORAGE)]
        files = _raw_files(walk) if storage != "undistorted" else _undistorted_files(walk, house)
        files["house_segmentations"] = {f"{house}.house": _house(walk, house)}
        if storage != "undistorted":
            files["region_segmentations"] = _region_mesh(walk)
        for kind, content in files.items():
            _write_kind(out / house, house, kind, content, zipped=storage == "zips")
        samples += [_sample(walk, house, REGION), _sample(walk, house, OTHER_REGION)]
        names.append(f"{house}_region{REGION}")
    write_infos(out / "embodiedscan_infos_train.pkl", [sample for sample in samples if sample["images"]])
    return names


def house_name(walk: Walk) -> str:
    """Return an id as Matterport3D has them, a pure function of the walk."""
    return "s" + hashlib.sha256(f"{walk.scene.seed} {walk.scene.index} house".encode()).hexdigest()[:10]


def tripod(walk: Walk, stop: int) -> str:
    """Return the name of a tripod stop; later stops have later names."""
    return f"{stop:02x}" + hashlib.sha256(f"{walk.scene.seed} {walk.scene.index}".encode()).hexdigest()[:30]


def stills(walk: Walk, region: int) -> list[int]:
    """Return the frames of the walk that are stills of a region, in their order."""
    first_of_other = max(_stops(walk) - 1, 1)
    return [
        frame for frame in range(len(walk.poses)) if (frame // STILLS >= first_of_other) == (region == OTHER_REGION)
    ]


def _stops(walk: Walk) -> int:
    """Return the number of tripod stops; the last one may have fewer stills."""
    return -(-len(walk.poses) // STILLS)


def camera(walk: Walk, frame: int) -> Intrinsics:
    """Return the camera of a frame, of the written size."""
    fx, fy, cx, cy = CAMERAS[frame % 3]
    full = Intrinsics(fx=fx, fy=fy, cx=cx, cy=cy, width=SIZE[0], height=SIZE[1])
    return full.resized(walk.options.width, round(walk.options.width * SIZE[1] / SIZE[0]))


def _name(walk: Walk, frame: int, kind: str) -> str:
    return f"{tripod(walk, frame // STILLS)}_{kind}{frame % 3}_{frame % STILLS // 3}"


def _raw_files(walk: Walk) -> dict[str, dict[str, bytes]]:
    colors: dict[str, bytes] = {}
    depths: dict[str, bytes] = {}
    poses: dict[str, bytes] = {}
    cameras: dict[str, bytes] = {}
    bent = [BentCamera(camera(walk, k), Lens(name="MATTERPORT", coefficients=LENSES[k])) for k in range(3)]
    for frame in range(len(walk.poses)):
        native, lens = camera(walk, frame), bent[frame % 3]
        colors[_name(walk, frame, "i") + ".jpg"] = jpeg(lens.bend(walk.color(frame, lens.pinhole)))
        if frame != WITHOUT_DEPTH:
            depth = lens.bend(walk.depth(frame, lens.pinhole)) * np.uint16(UNITS_PER_MILLIMETRE)
            depths[_name(walk, frame, "d") + ".png"] = png(depth)
        pose = np.full((4, 4), np.nan) if frame == LOST else walk.held(frame, 0)
        poses[_name(walk, frame, "pose_") + ".txt"] = "".join(
            " ".join(f"{value:.8f}" for value in row) + "\n" for row in pose
        ).encode()
        numbers = (native.width, native.height, native.fx, native.fy, native.cx, native.cy, *LENSES[frame % 3])
        name = f"{tripod(walk, frame // STILLS)}_intrinsics_{frame % 3}.txt"
        cameras[name] = (" ".join(f"{value:.9g}" for value in numbers) + "\n").encode()
    return {
        "matterport_color_images": colors,
        "matterport_depth_images": depths,
        "matterport_camera_poses": poses,
        "matterport_camera_intrinsics": cameras,
    }


def _undistorted_files(walk: Walk, house: str) -> dict[str, dict[str, bytes]]:
    colors: dict[str, bytes] = {}
    depths: dict[str, bytes] = {}
    frames = range(len(walk.poses))
    lines = ["dataset matterport", f"n_images {len(frames)}"]
    lines += ["depth_directory undistorted_depth_images", "color_directory undistorted_color_images", ""]
    for frame in sorted(frames, key=lambda frame: (frame // STILLS, frame % 3, frame)):
        native = camera(walk, frame)
        if frame % STILLS // 3 == 0:
            matrix = (native.fx, 0, native.cx, 0, native.fy, native.height - 1 - native.cy, 0, 0, 1)
            lines.append("intrinsics_matrix " + " ".join(f"{value:.9g}" for value in matrix))
        color, depth = _name(walk, frame, "i") + ".jpg", _name(walk, frame, "d") + ".png"
        colors[color] = jpeg(walk.color(frame, native))
        if frame != WITHOUT_DEPTH:
            depths[depth] = png(walk.depth(frame, native) * np.uint16(UNITS_PER_MILLIMETRE))
        pose = np.full((4, 4), np.nan) if frame == LOST else walk.held(frame, 0) @ FROM_GL
        lines.append(f"scan {depth} {color} " + " ".join(f"{value:.8f}" for value in pose.ravel()))
    return {
        "undistorted_color_images": colors,
        "undistorted_depth_images": depths,
        "undistorted_camera_parameters": {f"{house}.conf": ("\n".join(lines) + "\n").encode()},
    }


def _house(walk: Walk, house: str) -> bytes:
    """Return the lines of a ``.house`` file that matter here, and some that look like them."""
    lines = [
        "ASCII 1.1",
        f"H {house} - 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0",
        "P 0 3 5 - 0 0 0 1 1 1 0 0 0 0",
    ]
    for stop in range(_stops(walk)):
        region = OTHER_REGION if stop * STILLS in stills(walk, OTHER_REGION) else REGION
        place = walk.poses[stop * STILLS][:3, 3]
        lines.append(f"P  {tripod(walk, stop)}  {stop} {region} 0  {' '.join(f'{v:g}' for v in place)}  0 0 0 0 0")
    lines.append("O 0 3 -1  0 0 0  1 0 0  0 1 0  0.5 0.5 0.5  0 0 0 0 0 0 0 0")
    return ("\n".join(lines) + "\n").encode()


def _region_mesh(walk: Walk) -> dict[str, bytes]:
    """Return the labelled mesh of the room: faces have segments, and each object is one segment."""
    scene = walk.scene
    vertex = np.zeros(len(scene.mesh.vertices), dtype=[("position", "<f4", 3), ("color", "u1", 3)])
    vertex["position"], vertex["color"] = scene.mesh.vertices, 128
    face = np.zeros(len(scene.mesh.faces), dtype=[("count", "u1"), ("indices", "<i4", 3), ("labels", "<i4", 3)])
    face["count"], face["indices"] = 3, scene.mesh.faces
    face["labels"][:, :2] = scene.face_object[:, None]
    header = PLY_HEADER.format(vertices=len(vertex), faces=len(face)).encode()
    groups = [
        {"id": object_id, "objectId": object_id, "label": label, "segments": [object_id]}
        for object_id, label in enumerate(scene.labels)
    ]
    stem = f"region{REGION}"
    return {
        f"{stem}.ply": header + vertex.tobytes() + face.tobytes(),
        f"{stem}.fsegs.json": json.dumps({"segIndices": scene.face_object.tolist()}).encode(),
        f"{stem}.semseg.json": json.dumps({"segGroups": groups}).encode(),
    }


def _sample(walk: Walk, house: str, region: int) -> dict[str, Any]:
    """Return EmbodiedScan's entry of a region."""
    folder = f"matterport3d/{house}"
    images = [
        SeenImage(
            fields={
                "img_path": f"{folder}/matterport_color_images/{_name(walk, frame, 'i')}.jpg",
                "depth_path": f"{folder}/matterport_depth_images/{_name(walk, frame, 'd')}.png",
                "cam2img": four_by_four(camera(walk, frame)),
            },
            camera=camera(walk, frame),
            held=walk.held(frame, 0),
        )
        for frame in stills(walk, region)
    ]
    return room_sample(f"{folder}/region{region}", walk, images, np.eye(4), {"depth_shift": 4000.0})


def _write_kind(folder: Path, house: str, kind: str, files: Mapping[str, bytes], *, zipped: bool) -> None:
    if zipped:
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(folder / f"{kind}.zip", "w") as archive:
            for name, data in files.items():
                archive.writestr(zipfile.ZipInfo(f"{house}/{kind}/{name}", DATE), data)
        return
    (folder / kind).mkdir(parents=True)
    for name, data in files.items():
        (folder / kind / name).write_bytes(data)
