"""A minute ScanNet scene made by hand: two boxes in a room of a few triangles, in ScanNet's own files."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import trimesh

from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.upright import Turn, turn_image, turn_poses
from gapdata.synthetic.sens_writer import SensWriter
from tests.conftest import look_from

COLOR = Intrinsics(fx=115.0, fy=115.0, cx=63.5, cy=47.5, width=128, height=96)
DEPTH = Intrinsics(fx=57.0, fy=57.0, cx=31.5, cy=23.5, width=64, height=48)
ALIGNMENT = "0.866025 0.5 0 0.1 -0.5 0.866025 0 -0.2 0 0 1 -0.05 0 0 0 1"
LABELS = ("wall", "office chair", "office chair")


def write_scene(
    folder: Path, frames: int = 8, *, annotated: bool = True, lost: tuple[int, ...] = (), upside_down: bool = False
) -> Path:
    """Write ``folder`` (named like a scene) with ``frames`` frames that look at the two boxes from a moving camera."""
    turn: Turn = 180 if upside_down else 0
    folder.mkdir(parents=True)
    scene_id = folder.name
    boxes = [((8, 8, 3), (0, 0, 1.5)), ((0.6, 0.8, 1.0), (2, 0.6, 0.5)), ((0.5, 0.5, 0.9), (2, -0.6, 0.45))]
    meshes = [trimesh.creation.box(extents=size).apply_translation(center) for size, center in boxes]
    meshes[0].invert()
    scene = trimesh.util.concatenate(meshes)
    poses = [look_from((-0.5 + 0.05 * frame, 0.02 * frame, 1.2), 0.03 * frame, 0.2) for frame in range(frames)]
    with SensWriter(folder / f"{scene_id}.sens", color_intrinsics=COLOR, depth_intrinsics=DEPTH) as writer:
        for frame, pose in enumerate(poses):
            image = np.full((96, 128, 3), 40 + 5 * frame, np.uint8)
            writer.write(
                color=cv2.imencode(".jpg", image)[1].tobytes(),
                depth=turn_image(ray_cast(scene, DEPTH, pose), turn),
                camera_to_world=np.full((4, 4), -np.inf) if frame in lost else turn_poses(pose, turn),
            )
    alignment = f"axisAlignment = {ALIGNMENT} \r\n" if annotated else ""
    (folder / f"{scene_id}.txt").write_bytes(f"{alignment}colorHeight = 96\r\nsceneType = Office\r\n".encode())
    scene.export(folder / f"{scene_id}_vh_clean_2.ply")
    if annotated:
        write_annotation(folder, [len(mesh.vertices) for mesh in meshes])
    return folder


def write_annotation(folder: Path, vertex_counts: list[int]) -> None:
    """Each mesh is two segments with scattered ids; object ids start at 0."""
    ids = [(70 + 9 * index, 500 + index) for index in range(len(vertex_counts))]
    parts = [np.repeat(pair, [count // 2, count - count // 2]) for pair, count in zip(ids, vertex_counts, strict=True)]
    groups = [
        {"id": index, "objectId": index, "segments": list(ids[index]), "label": label}
        for index, label in enumerate(LABELS)
    ]
    name = folder.name
    segments = {"sceneId": name, "segIndices": np.concatenate(parts).tolist()}
    (folder / f"{name}_vh_clean_2.0.010000.segs.json").write_text(json.dumps(segments))
    (folder / f"{name}.aggregation.json").write_text(json.dumps({"sceneId": name, "segGroups": groups}))


def ray_cast(mesh: trimesh.Trimesh, camera: Intrinsics, pose: np.ndarray) -> np.ndarray:
    """z-depth in millimetres, (H, W) uint16."""
    import open3d as o3d

    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32))
    directions = camera.rays() @ pose[:3, :3].T
    rays = np.concatenate([np.broadcast_to(pose[:3, 3], directions.shape), directions], axis=-1).astype(np.float32)
    hits = scene.cast_rays(o3d.core.Tensor(rays))["t_hit"].numpy()
    return np.where(np.isfinite(hits), np.rint(hits * 1000), 0).astype(np.uint16)
