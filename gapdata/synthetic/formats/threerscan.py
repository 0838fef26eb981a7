"""Write walks as 3RScan's scans: sideways frames, squeezed depth, a labelled mesh in ASCII, and a rescan.

Its traps: the reference scans are zipped and the rescan is not, depth has other focal lengths than colour, tracking was
lost for one frame and another one lacks its pose, an object is a leftover of the reconstruction (``remove``), and the
matrix of the rescan stands column by column.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.boxes import upright_box
from gapdata.geometry.camera import Intrinsics, transform
from gapdata.geometry.upright import Turn
from gapdata.synthetic.formats.embodiedscan_infos import SeenImage, four_by_four, room_sample, write_infos
from gapdata.synthetic.formats.walk import Walk
from gapdata.synthetic.sensor import jpeg

COLOR = Intrinsics(fx=756.832, fy=756.026, cx=492.889, cy=270.419, width=960, height=540)
DEPTH_SIZE = (224, 172)
TURN: Turn = 90
"""Degrees clockwise by which the images must be turned to become upright."""
LOST, WITHOUT_POSE = 7, 11
"""Frames of lost tracking, and without a pose file."""
RESCANNED = 24
"""Frames of the rescan."""
INFO_STEP = 10
"""Every so manieth frame is in EmbodiedScan's file."""
DATE = (2019, 10, 27, 0, 0, 0)
HEADER = """ply
format ascii 1.0
element vertex {vertices}
property float x
property float y
property float z
property uchar red
property uchar green
property uchar blue
property ushort objectId
property ushort globalId
property uchar NYU40
property uchar Eigen13
property uchar RIO27
element face {faces}
property list uchar int vertex_indices
end_header
"""


def write(out: Path, walks: Iterable[Walk]) -> list[str]:
    """Write a scan for each walk, and a rescan of the first one; return the ids of the former."""
    names: list[str] = []
    places: list[dict[str, Any]] = []
    samples: list[dict[str, Any]] = []
    for walk in walks:
        name = scan_id(walk, "reference")
        frames = _frames(walk, np.eye(4))
        _write_scan(out / name, walk, np.eye(4), frames, zipped=True)
        place: dict[str, Any] = {"reference": name, "type": "validation" if names else "train", "scans": []}
        if not names:
            place["scans"].append(_write_rescan(out, walk, frames))
            later = list(range(min(RESCANNED, len(walk.poses))))
            samples.append(_sample(scan_id(walk, "rescan"), walk, later, _rescan_world()))
        places.append({**place, "ambiguity": []})
        samples.append(_sample(name, walk, range(len(walk.poses)), np.eye(4)))
        names.append(name)
    (out / "3RScan.json").write_text(json.dumps(places, indent=1))
    (out / "splits").mkdir(exist_ok=True)
    for split, listed in (("train", names[:1]), ("val", names[1:]), ("test", [])):
        (out / "splits" / f"{split}.txt").write_text("\n".join(listed))
    write_infos(out / "annotations" / "embodiedscan_infos_train.pkl", samples[:2])
    write_infos(out / "annotations" / "embodiedscan_infos_val.pkl", samples[2:])
    return names


def scan_id(walk: Walk, purpose: str) -> str:
    """Return an id as 3RScan has them, a pure function of the walk."""
    digits = hashlib.sha256(f"{walk.scene.seed} {walk.scene.index} {purpose}".encode()).hexdigest()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))


def rescan_to_reference() -> NDArray[np.float64]:
    """Return the matrix from the world of the rescan to that of its reference, (4, 4)."""
    c, s = np.cos(0.35), np.sin(0.35)
    return np.array([[c, -s, 0, 0.8], [s, c, 0, -0.45], [0, 0, 1, 0.07], [0, 0, 0, 1]])


def _rescan_world() -> NDArray[np.float64]:
    return np.asarray(np.linalg.inv(rescan_to_reference()), dtype=np.float64)


def cameras(walk: Walk) -> tuple[Intrinsics, Intrinsics]:
    """Return the cameras of colour and depth.

    Depth has the same field of view: focal lengths follow the sizes, centres the distances between outer pixels.
    """
    width = walk.options.width
    color = COLOR.resized(width, round(width * COLOR.height / COLOR.width))
    size = round(width * DEPTH_SIZE[0] / COLOR.width), round(width * DEPTH_SIZE[1] / COLOR.width)
    (w, h), (cw, ch) = size, (color.width, color.height)
    depth = Intrinsics(
        fx=color.fx * w / cw,
        fy=color.fy * h / ch,
        cx=color.cx * (w - 1) / (cw - 1),
        cy=color.cy * (h - 1) / (ch - 1),
        width=w,
        height=h,
    )
    return color, depth


def _frames(walk: Walk, room_to_world: NDArray[np.float64]) -> dict[str, bytes]:
    """Return the files of a sequence by name."""
    color, depth = cameras(walk)
    files = {"_info.txt": _info(walk, len(walk.poses))}
    for frame in range(len(walk.poses)):
        stem = f"frame-{frame:06d}"
        files[f"{stem}.color.jpg"] = jpeg(walk.color(frame, color, TURN))
        image = walk.depth(frame, depth, TURN)
        header = f"P5\n{depth.width} {depth.height}\n65535\n".encode()
        files[f"{stem}.depth.pgm"] = header + image.astype(">u2").tobytes()
        if frame != WITHOUT_POSE:
            files[f"{stem}.pose.txt"] = _pose(walk, frame, room_to_world)
    return files


def _pose(walk: Walk, frame: int, room_to_world: NDArray[np.float64]) -> bytes:
    rows = np.full((4, 4), -np.inf) if frame == LOST else room_to_world @ walk.held(frame, TURN)
    return "".join(" ".join(f"{value:.6f}" for value in row) + " \n" for row in rows).encode()


def _info(walk: Walk, frames: int) -> bytes:
    color, depth = cameras(walk)
    numbers = {
        name: " ".join(f"{value:g}" for value in four_by_four(camera).ravel())
        for name, camera in (("Color", color), ("Depth", depth))
    }
    identity = "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1"
    lines = {
        "m_versionNumber": "4",
        "m_sensorName": "tangoDevice (calibrated)",
        **{
            f"m_{camera}{side}": getattr(size, side.lower())
            for camera, size in (("color", color), ("depth", depth))
            for side in ("Width", "Height")
        },
        "m_depthShift": "1000",
        "m_calibrationColorIntrinsic": numbers["Color"],
        "m_calibrationColorExtrinsic": identity,
        "m_calibrationDepthIntrinsic": numbers["Depth"],
        "m_calibrationDepthExtrinsic": identity,
        "m_frames.size": frames,
    }
    return "".join(f"{name} = {value}\n" for name, value in lines.items()).encode()


def _write_rescan(out: Path, walk: Walk, frames: Mapping[str, bytes]) -> dict[str, Any]:
    """Write the beginning of a walk again, in another world, and return its entry of ``3RScan.json``."""
    name, count = scan_id(walk, "rescan"), min(RESCANNED, len(walk.poses))
    to_world = _rescan_world()
    kept = {file: data for file, data in frames.items() if file[6:12].isdigit() and int(file[6:12]) < count}
    kept["_info.txt"] = _info(walk, count)
    for frame in range(count):
        if frame != WITHOUT_POSE:
            kept[f"frame-{frame:06d}.pose.txt"] = _pose(walk, frame, to_world)
    _write_scan(out / name, walk, to_world, kept, zipped=False)
    by_column = rescan_to_reference().T.ravel().tolist()
    return {"reference": name, "transform": by_column, "rigid": [], "nonrigid": [], "removed": []}


def _write_scan(
    folder: Path, walk: Walk, room_to_world: NDArray[np.float64], frames: Mapping[str, bytes], *, zipped: bool
) -> None:
    folder.mkdir(parents=True)
    if zipped:
        with zipfile.ZipFile(folder / "sequence.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name in sorted(frames):
                archive.writestr(zipfile.ZipInfo(name, DATE), frames[name], zipfile.ZIP_DEFLATED)
    else:
        (folder / "sequence").mkdir()
        for name, data in frames.items():
            (folder / "sequence" / name).write_bytes(data)
    vertices = transform(room_to_world, walk.scene.mesh.vertices)
    (folder / "labels.instances.annotated.v2.ply").write_bytes(_labelled_mesh(walk, vertices))
    (folder / "semseg.v2.json").write_text(json.dumps(_labels(walk, vertices, folder.name)))


def _labelled_mesh(walk: Walk, vertices: NDArray[np.float64]) -> bytes:
    """Return the mesh with the object id of every vertex, and a leftover below the floor."""
    leftover = vertices.min(axis=0) + np.array([[0, 0, -1], [0.1, 0, -1], [0, 0.1, -1]])
    vertices = np.concatenate([vertices, leftover])
    ids = np.append(walk.scene.vertex_object + 1, np.full(3, len(walk.scene.labels) + 1))
    faces = np.concatenate([walk.scene.mesh.faces, [np.arange(len(vertices) - 3, len(vertices))]])
    palette = np.random.default_rng(0).integers(40, 255, (int(ids.max()) + 1, 3))
    rows = (
        f"{x:.6f} {y:.6f} {z:.6f} {red} {green} {blue} {number} 0 0 0 0"
        for (x, y, z), (red, green, blue), number in zip(vertices, palette[ids], ids, strict=True)
    )
    corners = (f"3 {a} {b} {c}" for a, b, c in faces)
    header = HEADER.format(vertices=len(vertices), faces=len(faces))
    return (header + "\n".join((*rows, *corners)) + "\n").encode()


def _labels(walk: Walk, vertices: NDArray[np.float64], name: str) -> dict[str, Any]:
    """Return ``semseg.v2.json``, with boxes whose axes are rows."""
    groups = []
    for object_id, label in enumerate(walk.scene.labels):
        box = upright_box(vertices[walk.scene.vertex_object == object_id])
        obb = {
            "centroid": box.center.tolist(),
            "axesLengths": box.size.tolist(),
            "normalizedAxes": box.rotation.T.ravel().tolist(),
        }
        number = object_id + 1
        groups.append({"id": number, "objectId": number, "label": label, "segments": [number], "obb": obb})
    last = len(groups) + 1
    groups.append({"id": last, "objectId": last, "label": "remove", "segments": [last]})
    return {"scan_id": name, "appId": "Aggregator.v2", "segGroups": groups}


def _sample(name: str, walk: Walk, frames: Sequence[int], room_to_world: NDArray[np.float64]) -> dict[str, Any]:
    """Return EmbodiedScan's entry of a scan."""
    color, depth = cameras(walk)
    images = [
        SeenImage(
            fields={
                "img_path": f"3rscan/{name}/sequence/frame-{frame:06d}.color.jpg",
                "depth_path": f"3rscan/{name}/sequence/frame-{frame:06d}.depth.pgm",
            },
            camera=color,
            held=walk.held(frame, TURN),
        )
        for frame in frames[::INFO_STEP]
        if frame not in (LOST, WITHOUT_POSE)
    ]
    cameras_of_all = {"cam2img": four_by_four(color), "depth_cam2img": four_by_four(depth)}
    return room_sample(f"3rscan/{name}", walk, images, room_to_world, cameras_of_all)
