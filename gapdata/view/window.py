"""An interactive window on a record: Open3D's classic visualizer with keys for colours, cameras, boxes and prompts."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import UsageError
from gapdata.records.codec import record_image
from gapdata.records.schema import Record
from gapdata.view.cloud import PointCloud, fuse
from gapdata.view.palette import (
    AXES,
    PROMPT,
    Color,
    depth_colors,
    frame_color,
    frame_colors,
    instance_colors,
    object_color,
)
from gapdata.view.shapes import (
    axis_segments,
    box_segments,
    extent,
    frustum_corners,
    frustum_depth,
    frustum_segments,
    shown_objects,
)

MAX_POINTS = 4_000_000
MAX_BOXES = 60
COLOR_MODES = ("rgb", "frame", "instance", "depth")
KEYS = """C next colours (RGB, frame, instance, depth)   F cameras   B boxes   P prompts   R reset the view   Q close"""
CURE = "use --save x.png (or x.ply) to write a file instead"


def has_display() -> bool:
    """Whether a window can be opened: a display server on Linux, always on macOS and Windows."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def show(record: Record) -> None:
    """Open a window and return when it is closed.

    Raises:
        UsageError: there is no display, or the window cannot be opened on it.
        ShardError: a member of the record is missing or damaged.
    """
    window = RecordWindow.opened(record)
    print(KEYS, file=sys.stderr)
    window.run()


def point_colors(cloud: PointCloud, mode: str, frames: int) -> NDArray[np.uint8]:
    """(N, 3) uint8 RGB of a cloud in one of ``COLOR_MODES``; depth is measured from the first camera."""
    if mode == "rgb":
        return cloud.colors
    if mode == "frame":
        return frame_colors(cloud.frames, frames)
    if mode == "instance":
        # A share of the true colour keeps the surfaces readable within one object.
        return (0.7 * instance_colors(cloud.instances) + 0.3 * cloud.colors).astype(np.uint8)
    z = cloud.points[:, 2]
    low, high = np.percentile(z, [1, 99]) if len(z) else (0.0, 1.0)
    return depth_colors(np.maximum(z, 1e-3)[None], float(low), float(high))[0]


@dataclass(kw_only=True, eq=False)
class RecordWindow:
    """An open window: what is drawn in it and which of that is shown."""

    visualizer: Any  # open3d.visualization.VisualizerWithKeyCallback
    cloud: PointCloud
    frames: int
    points: Any  # open3d.geometry.PointCloud
    groups: dict[str, list[Any]]
    shown: set[str] = field(default_factory=set)
    mode: str = "rgb"

    @classmethod
    def opened(cls, record: Record, *, visible: bool = True) -> RecordWindow:
        """Fuse a record and open a window on it; errors as :func:`show` describes."""
        if not has_display():
            raise UsageError("there is no display to open a window on", cure=CURE)
        import open3d as o3d

        cloud = fuse(record, max_points=MAX_POINTS)
        visualizer = o3d.visualization.VisualizerWithKeyCallback()
        if not visualizer.create_window(f"gapdata: {record.key}", 1440, 900, visible=visible):
            raise UsageError("Open3D cannot open a window on this display", cure=CURE)
        points = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(cloud.points.astype(np.float64)))
        window = cls(
            visualizer=visualizer,
            cloud=cloud,
            frames=len(record),
            points=points,
            groups=drawn_groups(record, frustum_depth(cloud), extent(cloud)),
        )
        window.colored("rgb", update=False)
        visualizer.add_geometry(points)
        for name in window.groups:
            window.toggle(name)
        visualizer.get_render_option().background_color = np.array([0.11, 0.12, 0.15])
        visualizer.get_render_option().point_size = 2.0
        window.reset()
        for key, action in (
            ("C", window.next_colors),
            ("F", lambda: window.toggle("cameras")),
            ("B", lambda: window.toggle("boxes")),
            ("P", lambda: window.toggle("prompts")),
            ("R", window.reset),
        ):
            visualizer.register_key_callback(ord(key), _callback(action))
        return window

    def run(self) -> None:
        """Hand control to the user until the window is closed."""
        self.visualizer.run()
        self.visualizer.destroy_window()

    def next_colors(self) -> None:
        """Step to the next colour mode."""
        self.colored(COLOR_MODES[(COLOR_MODES.index(self.mode) + 1) % len(COLOR_MODES)])

    def colored(self, mode: str, *, update: bool = True) -> None:
        """Colour the points by one of ``COLOR_MODES``."""
        import open3d as o3d

        self.mode = mode
        self.points.colors = o3d.utility.Vector3dVector(point_colors(self.cloud, mode, self.frames) / 255.0)
        if update:
            self.visualizer.update_geometry(self.points)

    def toggle(self, name: str) -> None:
        """Show or hide ``cameras``, ``boxes`` or ``prompts``."""
        for geometry in self.groups[name]:
            if name in self.shown:
                self.visualizer.remove_geometry(geometry, reset_bounding_box=False)
            else:
                self.visualizer.add_geometry(geometry, reset_bounding_box=False)
        self.shown ^= {name}

    def reset(self) -> None:
        """Look as the first camera does, from a little behind and above it."""
        control = self.visualizer.get_view_control()
        empty = np.array([0.0, 0.0, 1.0])
        control.set_lookat(np.median(self.cloud.points, axis=0).astype(np.float64) if len(self.cloud) else empty)
        control.set_front([0.25, -0.45, -0.85])
        control.set_up([0.0, -1.0, 0.0])
        control.set_zoom(0.55)


def _callback(action: Callable[[], None]) -> Callable[[Any], bool]:
    """An action as Open3D calls it: with the visualizer, and True asks for a new picture."""

    def called(_: Any) -> bool:
        action()
        return True

    return called


def drawn_groups(record: Record, depth: float, scale: float) -> dict[str, list[Any]]:
    """Open3D geometries beside the points, by the name that a key toggles.

    Args:
        record: a record with its members.
        depth: of the frustums, metres.
        scale: the cloud's extent, metres; prompts and texts are sized by it.
    """
    cameras = [_lines(axis_segments(1.2 * depth)[axis : axis + 1], AXES[axis]) for axis in range(3)]
    for frame in range(len(record)):
        camera, pose = record.camera(frame), record.camera_to_first[frame]
        cameras.append(_lines(frustum_segments(camera, pose, depth), frame_color(frame, len(record))))
        cameras.append(_image_plane(frustum_corners(camera, pose, depth), record_image(record, frame)))
    boxes, prompts = [], []
    for item in shown_objects(record.objects, MAX_BOXES):
        boxes.append(_lines(box_segments(item), object_color(item.object_id)))
        corners = box_segments(item).reshape(-1, 3)
        top = np.array([item.center[0], corners[:, 1].min() - 0.02 * scale, item.center[2]])
        boxes.append(_words(item.label, top, 0.014 * scale, object_color(item.object_id)))
    for prompt in record.prompts:
        prompts.append(_ball(np.array(prompt.point), 0.007 * scale))
        # Up and towards the first camera, so that no surface swallows the letters.
        above = np.array(prompt.point) - [0.0, 0.015 * scale, 0.04 * scale]
        prompts.append(_words(f"{prompt.index} {prompt.label or ''}".strip(), above, 0.014 * scale, (255, 255, 255)))
    return {"cameras": cameras, "boxes": boxes, "prompts": prompts}


def _lines(segments: NDArray[np.float64], color: Color) -> Any:
    import open3d as o3d

    ends = o3d.utility.Vector3dVector(segments.reshape(-1, 3))
    pairs = o3d.utility.Vector2iVector(np.arange(2 * len(segments), dtype=np.int32).reshape(-1, 2))
    lines = o3d.geometry.LineSet(ends, pairs)
    lines.paint_uniform_color(np.array(color) / 255.0)
    return lines


def _image_plane(corners: NDArray[np.float64], image: NDArray[np.uint8]) -> Any:
    """A frame as a textured rectangle, to be seen from both sides."""
    import cv2
    import open3d as o3d

    triangles = np.array([[0, 1, 2], [0, 2, 3], [2, 1, 0], [3, 2, 0]], dtype=np.int32)
    plane = o3d.geometry.TriangleMesh(o3d.utility.Vector3dVector(corners), o3d.utility.Vector3iVector(triangles))
    texture = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    plane.triangle_uvs = o3d.utility.Vector2dVector(texture[triangles.reshape(-1)])
    plane.triangle_material_ids = o3d.utility.IntVector([0] * len(triangles))
    size = (256, round(256 * image.shape[0] / image.shape[1]))
    small: Any = np.ascontiguousarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    plane.textures = [o3d.geometry.Image(small)]
    return plane


def _ball(center: NDArray[np.float64], radius: float) -> Any:
    import open3d as o3d

    ball = o3d.geometry.TriangleMesh.create_sphere(radius, 16)
    ball.translate(center)
    ball.compute_vertex_normals()
    ball.paint_uniform_color(np.array(PROMPT) / 255.0)
    return ball


def _words(text: str, at: NDArray[np.float64], height: float, color: Color) -> Any:
    """Flat letters that face the first camera, their left end at ``at``."""
    import open3d as o3d

    letters = o3d.t.geometry.TriangleMesh.create_text(text or "?", depth=1.0).to_legacy()
    vertices = np.asarray(letters.vertices)
    # Letters stand in x (right) and y (up); the first camera's y points down.
    unit = height / max(float(np.ptp(vertices[:, 1])), 1e-6)
    placed = vertices * [unit, -unit, unit] + at
    triangles = np.asarray(letters.triangles)
    both = o3d.utility.Vector3iVector(np.concatenate([triangles, triangles[:, ::-1]]))
    mesh = o3d.geometry.TriangleMesh(o3d.utility.Vector3dVector(placed), both)
    mesh.paint_uniform_color(np.array(color) / 255.0)
    return mesh
