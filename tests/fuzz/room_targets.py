"""Downloads of 3RScan and Matterport3D: one of their files is damaged, and all that a build reads is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gapdata.records.codec import encode_jpeg, encode_png
from gapdata.sources.base import Dataset
from tests.fuzz.capture_targets import read_all, zipped
from tests.fuzz.cases import attempt, linked, replaced
from tests.fuzz.mutations import damaged, damaged_json, pick
from tests.support.annotation_records import sample, write_embodiedscan

SCANS = ("531cff08-0021-28f6-8e08-ba2eeb945e09", "531cff10-0021-28f6-8f94-80db8fdbbbee")
FRAMES, SIZE, DEPTH_SIZE = 5, (32, 18), (12, 9)
PLY = """ply
format ascii 1.0
element vertex 4
property float x
property float y
property float z
property uchar red
property uchar green
property uchar blue
property ushort objectId
element face 2
property list uchar int vertex_indices
end_header
0 0 0 9 9 9 1
1 0 0 9 9 9 1
0 1 0 9 9 9 2
0 0 1 9 9 9 3
3 0 1 2
3 1 2 3
"""
OBJ = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1/1 2/2 3/3\nf 2/2 3/3 4/4\n"
LABELS = {
    "segGroups": [
        {"objectId": 1, "id": 1, "label": "chair", "segments": [5]},
        {"objectId": 2, "id": 2, "label": "trash can", "segments": [6]},
        {"objectId": 3, "id": 3, "label": "remove", "segments": [7]},
    ]
}
SEGMENTS = {"segIndices": [5, 5, 6, 7]}
PLACES = [
    {
        "reference": SCANS[0],
        "type": "validation",
        "scans": [{"reference": SCANS[1], "transform": np.eye(4).ravel().tolist()}],
    }
]
HOUSE, TRIPODS = "17DRP5sb8fy", ("0" * 32, "f" * 32)
TREES: dict[str, Any] = {
    "semseg.v2.json": LABELS,
    "mesh.refined.0.010000.segs.v2.json": SEGMENTS,
    "3RScan.json": PLACES,
    "region2.fsegs.json": {"segIndices": [5, 6]},
    "region2.semseg.json": LABELS,
}


def picture(size: tuple[int, int]) -> bytes:
    return encode_jpeg(np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8), 90)


def sequence() -> dict[str, bytes]:
    """The members of a ``sequence.zip``."""
    camera = "30 0 15.5 0 0 30 8.5 0 0 0 1 0 0 0 0 1"
    depth = "11 0 5.5 0 0 15 4 0 0 0 1 0 0 0 0 1"
    sizes = (("colorWidth", SIZE[0]), ("colorHeight", SIZE[1]), ("depthWidth", DEPTH_SIZE[0]))
    lines = [f"m_{name} = {value}" for name, value in (*sizes, ("depthHeight", DEPTH_SIZE[1]), ("depthShift", 1000))]
    lines += [f"m_calibrationColorIntrinsic = {camera}", f"m_calibrationDepthIntrinsic = {depth}"]
    members = {"_info.txt": ("\n".join(lines) + f"\nm_frames.size = {FRAMES}\n").encode()}
    for frame in range(FRAMES):
        stem = f"frame-{frame:06d}"
        members[f"{stem}.color.jpg"] = picture(SIZE)
        members[f"{stem}.depth.pgm"] = b"P5\n%d %d\n65535\n" % DEPTH_SIZE + bytes([4, 9]) * (
            DEPTH_SIZE[0] * DEPTH_SIZE[1]
        )
        members[f"{stem}.pose.txt"] = f"1 0 0 {frame / 10}\n0 1 0 0\n0 0 1 0\n0 0 0 1\n".encode()
    return members


def write_threerscan_seed(folder: Path) -> None:
    """A reference with a zip and a labelled mesh, and a rescan with a folder and segments."""
    for scan in SCANS:
        (folder / scan).mkdir(parents=True)
        (folder / scan / "semseg.v2.json").write_text(json.dumps(LABELS))
    (folder / SCANS[0] / "sequence.zip").write_bytes(zipped(sequence()))
    (folder / SCANS[0] / "labels.instances.annotated.v2.ply").write_text(PLY)
    (folder / SCANS[1] / "sequence").mkdir()
    for name, data in sequence().items():
        (folder / SCANS[1] / "sequence" / name).write_bytes(data)
    (folder / SCANS[1] / "mesh.refined.v2.obj").write_text(OBJ)
    (folder / SCANS[1] / "mesh.refined.0.010000.segs.v2.json").write_text(json.dumps(SEGMENTS))
    (folder / "3RScan.json").write_text(json.dumps(PLACES))
    (folder / "train.txt").write_text(SCANS[0])


def write_matterport_seed(folder: Path) -> None:
    """A house with raw images in folders and zips, and the undistorted ones; two tripod stops in two regions."""
    home = folder / HOUSE
    files: dict[str, dict[str, bytes]] = {}
    lines = ["intrinsics_matrix 30 0 15.5 0 30 8.5 0 0 1"]
    for tripod in TRIPODS:
        for camera in range(2):
            stem, depth = f"{tripod}_i{camera}_0.jpg", f"{tripod}_d{camera}_0.png"
            image = encode_png(np.full(SIZE[::-1], 6000, dtype=np.uint16))
            for kind in ("matterport", "undistorted"):
                files.setdefault(f"{kind}_color_images", {})[stem] = picture(SIZE)
                files.setdefault(f"{kind}_depth_images", {})[depth] = image
            pose = " ".join(f"{value:g}" for value in np.eye(4).ravel())
            files.setdefault("matterport_camera_poses", {})[f"{tripod}_pose_{camera}_0.txt"] = pose.encode()
            numbers = f"{SIZE[0]} {SIZE[1]} 30 30 15.5 8.5 0.02 0 0.001 0 0\n".encode()
            files.setdefault("matterport_camera_intrinsics", {})[f"{tripod}_intrinsics_{camera}.txt"] = numbers
            lines.append(f"scan {depth} {stem} {pose}")
    files["undistorted_camera_parameters"] = {f"{HOUSE}.conf": "\n".join(lines).encode()}
    house = "\n".join(f"P  {tripod}  {stop} {stop + 2} 0  1 2 3" for stop, tripod in enumerate(TRIPODS))
    files["house_segmentations"] = {f"{HOUSE}.house": house.encode()}
    files["region_segmentations"] = {
        "region2.ply": PLY.encode(),
        **{name: json.dumps(TREES[name]).encode() for name in ("region2.fsegs.json", "region2.semseg.json")},
    }
    for kind, content in files.items():
        (home / kind).mkdir(parents=True)
        for name, data in content.items():
            (home / kind / name).write_bytes(data)
    write_embodiedscan(folder / "embodiedscan_infos_train.pkl", [_region_sample()])
    home = folder / "zipped00000"
    home.mkdir()
    for kind, content in files.items():
        inside = {f"{home.name}/{kind}/{name.replace(HOUSE, home.name)}": data for name, data in content.items()}
        (home / f"{kind}.zip").write_bytes(zipped(inside))


def _region_sample() -> dict[str, Any]:
    images = [{"img_path": f"x/{TRIPODS[0]}_i0_0.jpg", "visible_instance_ids": [0], "cam2global": np.eye(4)}]
    return {**sample(), "sample_idx": f"matterport3d/{HOUSE}/region2", "images": images}


def _damaged_file(
    folder: Path, open_folder: Callable[[Path], Dataset], archives: bool
) -> Callable[[np.random.Generator], int]:
    files = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    kinds = sorted({path.parent.name[:12] + path.suffix for path in files})
    members = sequence()

    def changed(path: Path, rng: np.random.Generator) -> bytes:
        if path.name in TREES and rng.random() < 0.8:
            return damaged_json(TREES[path.name], rng)
        if archives and path.suffix == ".zip" and rng.random() < 0.7:
            name = pick(rng, list(members))
            return zipped({**members, name: damaged(members[name], rng, list(members.values()))})
        return damaged(files[path], rng, [data for other, data in files.items() if other.suffix == path.suffix])

    def case(rng: np.random.Generator) -> int:
        kind = pick(rng, kinds)
        path = pick(rng, [path for path in files if path.parent.name[:12] + path.suffix == kind])
        data = changed(path, rng)
        with replaced(path, data):
            dataset = open_folder(folder)
            attempt(lambda: dataset.lacks(dataset.scene_ids, splits_given=False))
            attempt(dataset.describe)
            for scene in dataset.scene_ids:
                attempt(lambda scene=scene: _read(dataset, scene))  # type: ignore[misc]
        return len(data)

    return case


def _read(dataset: Dataset, scene: str) -> None:
    with dataset.open_scan(scene) as scan:
        attempt(scan.annotation)
        read_all(scan)


def threerscan_download(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """The archive or one of its members, frames, labels, meshes and lists."""
    from gapdata.sources.threerscan.dataset import open_folder

    return _damaged_file(linked(seeds / "threerscan", scratch / "threerscan"), open_folder, archives=True)


def matterport_download(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """Images, cameras, poses and lists of a house, its zips, and EmbodiedScan's file."""
    from gapdata.sources.matterport3d.dataset import open_folder

    return _damaged_file(linked(seeds / "matterport", scratch / "matterport"), open_folder, archives=False)
