"""The interactive window, on Open3D's renderer: it shows what :mod:`gapdata.view.navigation` says, and nothing else.

Where a machine's graphics driver is too old, Open3D's renderer may end its process without a word. So the window lives
in a process of its own; whatever happens there, this one says what to use instead.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import GapDataError, UsageError
from gapdata.view.cloud import PointCloud
from gapdata.view.coloring import Legend, legend, point_colors
from gapdata.view.exhibit import Exhibit
from gapdata.view.navigation import HELP, LEFT, RIGHT, WindowState, pressed, shown_pieces, window_title
from gapdata.view.palette import Color
from gapdata.view.pieces import Label, Lines, Picture, Piece
from gapdata.view.shapes import axis_segments
from gapdata.view.solids import Solid, sphere
from gapdata.view.viewing import Viewing, ViewRequest
from gapdata.view.viewpoint import Viewpoint, viewpoints

MAX_POINTS = 3_000_000
SIZE = (1440, 900)
BACKGROUND = (0.11, 0.12, 0.15, 1.0)
POINT_SIZE = 2.5
CURE = "use --save x.png (or x.ply, x.glb) to write a file instead"
CLOUD = "cloud"


def has_display() -> bool:
    """Whether a window can be opened: a display server on Linux, always on macOS and Windows."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def show(request: ViewRequest) -> int:
    """Open a window, return its exit status when it is closed.

    Raises:
        UsageError: there is no display, the request cannot be met, or Open3D's window ended by itself.
        ShardError: the build is damaged.
    """
    if not has_display():
        raise UsageError("there is no display to open a window on", cure=CURE)
    Viewing(request)  # what is wrong with the request is said here
    print(HELP, file=sys.stderr)
    process = multiprocessing.get_context("spawn").Process(target=_open, args=(request,), daemon=True)
    process.start()
    try:
        process.join()
    finally:
        process.terminate()
    status = process.exitcode or 0
    if status < 0:
        raise UsageError(f"Open3D's window ended by signal {-status}; its graphics driver may be missing", cure=CURE)
    return status


def _open(request: ViewRequest) -> None:
    """The window's process."""
    # Open3D's renderer reports on itself to standard output.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    try:
        window = ExhibitWindow(Viewing(request), request.mode)
        window.run()
    except GapDataError as error:
        print(f"gapdata: {error}", file=sys.stderr)
        raise SystemExit(error.exit_status) from error


class ExhibitWindow:
    """An open window on what can be stepped through.

    Args:
        viewing: the records or scenes.
        mode: the colour mode that is shown first.

    Raises:
        UsageError: Open3D cannot open a window on this display.
        ShardError: the first record is damaged.
    """

    def __init__(self, viewing: Viewing, mode: str) -> None:
        import open3d as o3d

        self._viewing = viewing
        self.state = WindowState(position=viewing.start, mode=mode)
        self._exhibit = viewing.exhibit(viewing.start, mode=mode, max_points=MAX_POINTS)
        self._drawn: dict[str, Piece] = {}
        self._labels: dict[str, Any] = {}
        o3d.utility.set_verbosity_level(o3d.utility.VerbosityLevel.Error)
        gui = o3d.visualization.gui
        self._application = gui.Application.instance
        try:
            self._application.initialize()
            self.window = self._application.create_window("gapdata view", *SIZE)
        except RuntimeError as error:
            raise UsageError(f"Open3D cannot open a window on this display: {error}", cure=CURE) from error
        self.widget = gui.SceneWidget()
        self.widget.scene = o3d.visualization.rendering.Open3DScene(self.window.renderer)
        self.widget.scene.set_background(np.array(BACKGROUND, dtype=np.float32))
        self.widget.scene.view.set_post_processing(False)
        self._head, self._foot = gui.Label(""), gui.Label(HELP)
        for part in (self.widget, self._head, self._foot):
            self.window.add_child(part)
        self.window.set_on_layout(self._lay_out)
        self.window.set_on_key(self._on_key)
        self._draw()
        self.reset()

    def run(self) -> None:
        """Hand control to the user until the window is closed."""
        self._application.run()

    def press(self, key: str) -> None:
        """What a key does: ``left``, ``right``, or a character in lower case."""
        if key == "q":
            self.window.close()
            return
        if key == "r":
            self.reset()
            return
        before, self.state = self.state, pressed(self.state, key, len(self._viewing))
        moved = before.position != self.state.position
        if moved or (self.state.mode == "error" and not np.isfinite(self._exhibit.cloud.error).any()):
            try:
                self._exhibit = self._viewing.exhibit(self.state.position, mode=self.state.mode, max_points=MAX_POINTS)
            except GapDataError as error:
                print(f"gapdata: {error}", file=sys.stderr)
                self.state = before
                return
        if self.state != before:
            self._draw()
        if moved:
            self.reset()

    def reset(self) -> None:
        """Look from behind the first camera, or into the scene from a corner."""
        view = first_view(self._exhibit, SIZE)
        low, high = _bounds(self._exhibit.cloud)
        center = (low + high) / 2
        import open3d as o3d

        box = o3d.geometry.AxisAlignedBoundingBox(low - 5.0, high + 5.0)
        self.widget.setup_camera(55.0, box, center.astype(np.float32))
        pose = np.linalg.inv(view.shown_to_view)
        distance = max(float((view.shown_to_view[:3, :3] @ center + view.shown_to_view[:3, 3])[2]), 0.5)
        target = pose[:3, 3] + distance * pose[:3, 2]
        self.widget.look_at(
            target.astype(np.float32), pose[:3, 3].astype(np.float32), (-pose[:3, 1]).astype(np.float32)
        )
        self.widget.center_of_rotation = target.astype(np.float32)

    def _draw(self) -> None:
        """Bring the window in line with the state: only what differs is touched."""
        name = self._viewing.names[self.state.position]
        self.window.title = window_title(self.state, name, len(self._viewing))
        wanted = shown_pieces(self._exhibit, self.state)
        for gone in [drawn for drawn, piece in self._drawn.items() if wanted.get(drawn) is not piece]:
            self._remove(gone)
        self._draw_cloud()
        for piece_name, piece in wanted.items():
            if piece_name not in self._drawn:
                self._add(piece_name, piece)
        self._head.text = head_text(self._exhibit, legend(self.state.mode, self._exhibit.frame_ids), self.state.mode)
        self.window.set_needs_layout()
        self.window.post_redraw()

    def _draw_cloud(self) -> None:
        import open3d as o3d

        cloud = self._exhibit.cloud
        if self.widget.scene.has_geometry(CLOUD):
            self.widget.scene.remove_geometry(CLOUD)
        if not len(cloud):
            return
        colors = point_colors(cloud, self.state.mode, self._exhibit.frame_values)
        geometry = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(cloud.points.astype(np.float64)))
        geometry.colors = o3d.utility.Vector3dVector(colors / 255.0)
        self.widget.scene.add_geometry(CLOUD, geometry, self._material("defaultUnlit", POINT_SIZE))

    def _add(self, name: str, piece: Piece) -> None:
        if isinstance(piece, Label):
            label = self.widget.add_3d_label(piece.at.astype(np.float32), piece.text)
            label.color = _gui_color(piece.color)
            self._labels[name] = label
        elif isinstance(piece, Lines):
            material = self._material("unlitLine", 1.0)
            material.line_width = piece.pixels * self.window.scaling
            self.widget.scene.add_geometry(name, _line_set(piece), material)
        elif isinstance(piece, Picture):
            import open3d as o3d

            material = self._material("defaultUnlit", 1.0)
            material.albedo_img = o3d.geometry.Image(np.ascontiguousarray(piece.image))
            self.widget.scene.add_geometry(name, _rectangle(piece.corners), material)
        else:
            self.widget.scene.add_geometry(name, _mesh(sphere(piece)), self._material("defaultLit", 1.0))
        self._drawn[name] = piece

    def _remove(self, name: str) -> None:
        if name in self._labels:
            self.widget.remove_3d_label(self._labels.pop(name))
        else:
            self.widget.scene.remove_geometry(name)
        del self._drawn[name]

    def _material(self, shader: str, point_size: float) -> Any:
        import open3d as o3d

        material = o3d.visualization.rendering.MaterialRecord()
        material.shader = shader
        material.point_size = point_size * self.window.scaling
        return material

    def _lay_out(self, context: Any) -> None:
        frame = self.window.content_rect
        self.widget.frame = frame
        rectangle = type(frame)
        margin = round(10 * self.window.scaling)
        for part, from_below in ((self._head, False), (self._foot, True)):
            size = part.calc_preferred_size(context, type(part).Constraints())
            top = frame.get_bottom() - size.height - margin if from_below else frame.y + margin
            part.frame = rectangle(frame.x + margin, top, min(size.width, frame.width - 2 * margin), size.height)

    def _on_key(self, event: Any) -> bool:
        import open3d as o3d

        gui = o3d.visualization.gui
        if event.type != gui.KeyEvent.Type.DOWN:
            return False
        names = {int(gui.KeyName.LEFT): LEFT, int(gui.KeyName.RIGHT): RIGHT, int(gui.KeyName.ESCAPE): "q"}
        code = int(event.key)
        key = names.get(code) or (chr(code).lower() if 32 <= code < 127 else "")
        if not key:
            return False
        self.press(key)
        return True


def head_text(exhibit: Exhibit, meaning: Legend, mode: str) -> str:
    """What the window says at its top: the record, the frame of reference, what the colours mean, and the notes."""
    entries = [text for text, _ in meaning.entries]
    if meaning.scale is not None:
        entries.insert(0, f"blue 0 to red {meaning.scale * 100:g} cm and more")
    colors = f"{mode}: {meaning.text}" + (f" ({', '.join(entries)})" if entries else "")
    return "\n".join([f"{exhibit.title}   {'   '.join(exhibit.facts)}", exhibit.reference, colors, *exhibit.notes[:6]])


def first_view(exhibit: Exhibit, size: tuple[int, int]) -> Viewpoint:
    """Where the window looks from at first: the largest picture of a sheet."""
    first = exhibit.cameras[0].camera if exhibit.in_camera else None
    centres = np.stack([item.to_shown[:3, 3] for item in exhibit.cameras])
    extras = np.concatenate([centres, axis_segments(exhibit.frustum_depth)[:, 1] if exhibit.in_camera else centres])
    views = viewpoints(
        exhibit.cloud, exhibit.shown_to_room, exhibit.forward, extras, np.zeros((0, 3)), {"behind": size}, first
    )
    return views["behind"]


def _bounds(cloud: PointCloud) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if not len(cloud):
        return -np.ones(3), np.ones(3)
    low, high = np.percentile(cloud.points[:: max(1, len(cloud) // 20_000)], [1, 99], axis=0)
    return low.astype(np.float64), high.astype(np.float64)


def _gui_color(color: Color) -> Any:
    import open3d as o3d

    return o3d.visualization.gui.Color(*(value / 255.0 for value in color))


def _line_set(piece: Lines) -> Any:
    import open3d as o3d

    ends = o3d.utility.Vector3dVector(piece.segments.reshape(-1, 3))
    pairs = o3d.utility.Vector2iVector(np.arange(2 * len(piece.segments), dtype=np.int32).reshape(-1, 2))
    lines = o3d.geometry.LineSet(ends, pairs)
    lines.paint_uniform_color(np.array(piece.color) / 255.0)
    return lines


def _mesh(solid: Solid) -> Any:
    import open3d as o3d

    mesh = o3d.geometry.TriangleMesh(
        o3d.utility.Vector3dVector(solid.vertices), o3d.utility.Vector3iVector(solid.triangles.astype(np.int32))
    )
    mesh.vertex_colors = o3d.utility.Vector3dVector(solid.colors / 255.0)
    mesh.compute_vertex_normals()
    return mesh


def _rectangle(corners: NDArray[np.float64]) -> Any:
    """A textured rectangle, to be seen from both sides."""
    import open3d as o3d

    triangles = np.array([[0, 1, 2], [0, 2, 3], [2, 1, 0], [3, 2, 0]], dtype=np.int32)
    plane = o3d.geometry.TriangleMesh(o3d.utility.Vector3dVector(corners), o3d.utility.Vector3iVector(triangles))
    texture = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    plane.triangle_uvs = o3d.utility.Vector2dVector(texture[triangles.reshape(-1)])
    plane.triangle_material_ids = o3d.utility.IntVector([0] * len(triangles))
    return plane
