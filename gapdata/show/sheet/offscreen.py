"""Open3D's own renderer, for machines that have the graphics driver it needs.

Without a driver Open3D raises or crashes; with one, it may still abort while it tears its engine down, and it logs to
standard output. So it runs in a process of its own (this module as a script), which takes a cloud and cameras from one
file and leaves pictures in another; whatever happens there, this process goes on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gapdata
from gapdata.geometry.camera import Intrinsics
from gapdata.show.scene.cloud import PointCloud
from gapdata.show.sheet.splat import FACING_AWAY, SUPERSAMPLING, Rendering
from gapdata.show.sheet.viewpoint import Viewpoint

CHILD_SECONDS = 120.0


class OffscreenFailure(Exception):
    """Open3D drew nothing; the text is the last line that it said."""


def render_offscreen(cloud: PointCloud, views: dict[str, Viewpoint]) -> dict[str, Rendering]:
    """Draw the views with Open3D; surfaces seen from behind are left out, as the software renderer does.

    Raises:
        OffscreenFailure: Open3D cannot render here, or took longer than ``CHILD_SECONDS``.
    """
    arrays: dict[str, Any] = {f"cloud.{item.name}": getattr(cloud, item.name) for item in fields(cloud)}
    for name, view in views.items():
        camera = view.camera.resized(view.camera.width * SUPERSAMPLING, view.camera.height * SUPERSAMPLING)
        arrays[f"pose.{name}"] = view.shown_to_view
        arrays[f"camera.{name}"] = np.array([camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height])
    with tempfile.TemporaryDirectory(prefix="gapdata-view-") as folder:
        given, drawn = Path(folder) / "given.npz", Path(folder) / "drawn.npz"
        np.savez(given, **arrays)
        said = _run_child(given, drawn)
        if not drawn.exists():
            raise OffscreenFailure(said)
        with np.load(drawn, allow_pickle=False) as result:
            return {name: Rendering(colors=result[f"colors.{name}"], depth=result[f"depth.{name}"]) for name in views}


def _run_child(given: Path, drawn: Path) -> str:
    package_home = str(Path(gapdata.__file__).parents[1])
    paths = os.pathsep.join(filter(None, [package_home, os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "gapdata.show.sheet.offscreen", str(given), str(drawn)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=CHILD_SECONDS,
            check=False,
            env={**os.environ, "PYTHONPATH": paths},
        )
    except subprocess.TimeoutExpired:
        return f"no picture after {CHILD_SECONDS:.0f} s"
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1].strip() if lines else f"exit status {done.returncode}"


def _draw(given: Path, drawn: Path) -> None:
    """The child's work: one renderer for all views, as large as the largest; a smaller view is its upper left part."""
    import open3d as o3d

    with np.load(given, allow_pickle=False) as data:
        cloud = PointCloud(**{item.name: data[f"cloud.{item.name}"] for item in fields(PointCloud)})
        poses = {name[5:]: data[name] for name in data.files if name.startswith("pose.")}
        cameras = {name: _camera(data[f"camera.{name}"]) for name in poses}
    width, height = (max(getattr(camera, side) for camera in cameras.values()) for side in ("width", "height"))
    renderer = o3d.visualization.rendering.OffscreenRenderer(width, height)
    renderer.scene.set_background([0.0, 0.0, 0.0, 1.0])
    renderer.scene.view.set_post_processing(False)
    arrays: dict[str, Any] = {}
    for name, camera in cameras.items():
        shown = _front(cloud, poses[name])
        material = o3d.visualization.rendering.MaterialRecord()
        material.shader = "defaultUnlit"
        material.point_size = _point_size(shown, poses[name], camera.fx)
        geometry = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(shown.points.astype(np.float64)))
        geometry.colors = o3d.utility.Vector3dVector(shown.colors / 255.0)
        renderer.scene.add_geometry("cloud", geometry, material)
        renderer.setup_camera(camera.matrix, poses[name], width, height)
        window = np.s_[: camera.height, : camera.width]
        depth = np.asarray(renderer.render_to_depth_image(z_in_view_space=True))[window].astype(np.float32)
        arrays[f"depth.{name}"] = np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(np.inf))
        arrays[f"colors.{name}"] = np.asarray(renderer.render_to_image())[window][..., :3].astype(np.uint8)
        renderer.scene.clear_geometry()
    partial = drawn.with_name("partial.npz")
    np.savez(partial, **arrays)
    partial.rename(drawn)


def _camera(values: NDArray[np.float64]) -> Intrinsics:
    fx, fy, cx, cy, width, height = values.tolist()
    return Intrinsics(fx=fx, fy=fy, cx=cx, cy=cy, width=int(width), height=int(height))


def _front(cloud: PointCloud, shown_to_view: NDArray[np.float64]) -> PointCloud:
    """The samples whose surface faces the viewer."""
    centre = -shown_to_view[:3, :3].T @ shown_to_view[:3, 3]
    toward = centre.astype(np.float32) - cloud.points
    facing = np.einsum("nc,nc->n", cloud.normals, toward) / np.maximum(np.linalg.norm(toward, axis=1), 1e-6)
    return cloud.select(facing > FACING_AWAY)


def _point_size(cloud: PointCloud, shown_to_view: NDArray[np.float64], focal: float) -> float:
    """Pixels that cover nine tenths of the sample spacings: Open3D has one size for all points."""
    if not len(cloud):
        return 1.0
    z = cloud.points @ shown_to_view[2, :3] + shown_to_view[2, 3]
    return float(np.clip(np.percentile(cloud.spacing * focal / np.maximum(z, 0.1), 90), 1.0, 12.0))


if __name__ == "__main__":
    _draw(Path(sys.argv[1]), Path(sys.argv[2]))
