"""The interactive window: Open3D's, driven by keys. It draws the state in :mod:`gapdata.show.window.navigation`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import GapDataError, UsageError
from gapdata.geometry.camera import Intrinsics
from gapdata.runtime.terminal import say
from gapdata.show.model_files.solids import solid_of
from gapdata.show.scene.coloring import Swatches, legend, point_colors
from gapdata.show.scene.exhibit import Exhibit
from gapdata.show.scene.modes import MEANING
from gapdata.show.scene.palette import MUTED, TEXT, Color, ink_on
from gapdata.show.scene.pieces import Ball, Label, Lines, Picture, Piece
from gapdata.show.sheet.text import text_image
from gapdata.show.sheet.viewpoint import viewpoints
from gapdata.show.viewing import Viewing
from gapdata.show.window.navigation import (
    GROUP_KEYS,
    HELP,
    LEFT,
    MODE_KEYS,
    RIGHT,
    WindowState,
    pressed,
    shown_pieces,
    window_title,
)
from gapdata.show.window.plates import NEAR, Plate, in_one_picture, plate_corners

MAX_POINTS = 4_000_000
SIZE = (1320, 820)
BACKGROUND = (0.11, 0.12, 0.15)
POINT_SIZE = 2.5
LETTERS = 15
MAX_WIDTH = 1400
"""Pixels of a text in the window."""
DARK: Color = (16, 17, 21)
CURE = "use --save x.png (or x.ply, x.glb) to write a file instead"
CODES = {RIGHT: 262, LEFT: 263}
"""GLFW's codes of the keys that are not characters."""


def has_display() -> bool:
    """Return whether a window can be opened: with a display server on Linux, always on macOS and Windows."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def show(viewing: Viewing, mode: str) -> int:
    """Open a window and return the exit status when it is closed.

    Raises:
        UsageError: there is no display, or Open3D cannot open a window.
        ShardError: the build is damaged.
    """
    if not has_display():
        raise UsageError("there is no display to open a window on", cure=CURE)
    window = ExhibitWindow(viewing, mode)
    print(HELP, file=sys.stderr)
    window.visualizer.run()
    window.visualizer.destroy_window()
    return 0


class ExhibitWindow:
    """An open window on the records or scenes of a build.

    Args:
        viewing: the records or scenes.
        mode: the colour mode that is shown first.
        visible: whether the window is seen; a hidden one draws, too.

    Raises:
        UsageError: Open3D cannot open a window on this display.
        ShardError: the first record is damaged.
    """

    def __init__(self, viewing: Viewing, mode: str, *, visible: bool = True) -> None:
        import open3d as o3d

        self.viewing = viewing
        self.state = WindowState(position=viewing.start, mode=mode)
        self.exhibit = viewing.exhibit(viewing.start, mode=mode, max_points=MAX_POINTS)
        self.visualizer = o3d.visualization.VisualizerWithKeyCallback()
        if not self.visualizer.create_window(self.title, *SIZE, visible=visible):
            raise UsageError("Open3D cannot open a window on this display", cure=CURE)
        self._geometries: list[Any] = []
        self._points: Any = None
        self._words: list[Plate] = []
        self._plates: Any = None
        self._placed: NDArray[np.float64] | None = None
        options = self.visualizer.get_render_option()
        options.background_color = np.array(BACKGROUND)
        options.point_size = POINT_SIZE
        self.draw()
        self.reset()
        for key in (*MODE_KEYS, *GROUP_KEYS, *CODES, "r"):
            self.visualizer.register_key_callback(CODES.get(key) or ord(key.upper()), self._callback(key))
        self.visualizer.register_animation_callback(lambda _: self.place_plates())

    @property
    def title(self) -> str:
        """The name of the record, its number, and the colour mode."""
        return window_title(self.state, self.viewing.names[self.state.position], len(self.viewing))

    def press(self, key: str) -> None:
        """Do what a key asks for: ``left``, ``right``, or a character in lower case."""
        if key == "r":
            self.reset()
            return
        before, self.state = self.state, pressed(self.state, key, len(self.viewing))
        moved = before.position != self.state.position
        measured = self.state.mode != "error" or bool(np.isfinite(self.exhibit.cloud.error).any())
        if moved or not measured:
            try:
                self.exhibit = self.viewing.exhibit(self.state.position, mode=self.state.mode, max_points=MAX_POINTS)
            except GapDataError as error:
                say(f"gapdata: {error}", error=True)
                self.state = before
                return
        if self.state != before:
            say(self.title, error=True)
            self.draw()
        if moved:
            self.reset()

    def reset(self) -> None:
        """Look from behind the first camera, or into the scene from a corner."""
        import open3d as o3d

        control = self.visualizer.get_view_control()
        parameters = control.convert_to_pinhole_camera_parameters()
        size = (parameters.intrinsic.width, parameters.intrinsic.height)
        view = viewpoints(self.exhibit, {"behind": size})["behind"]
        parameters.intrinsic = o3d.camera.PinholeCameraIntrinsic(*size, view.camera.matrix)
        parameters.extrinsic = view.shown_to_view
        control.convert_from_pinhole_camera_parameters(parameters, True)
        control.set_constant_z_near(NEAR)
        control.set_constant_z_far(20.0 * self.exhibit.extent + 20.0)
        self._placed = None
        self.place_plates()

    def draw(self) -> None:
        """Bring the window in line with the state; the view stays as it is."""
        import open3d as o3d

        for geometry in self._geometries:
            self.visualizer.remove_geometry(geometry, reset_bounding_box=False)
        cloud, pieces = self.exhibit.cloud, shown_pieces(self.exhibit, self.state)
        self._geometries = []
        if len(cloud):
            colors = point_colors(cloud, self.state.mode, self.exhibit.frame_values)
            points = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(cloud.points.astype(np.float64)))
            points.colors = o3d.utility.Vector3dVector(colors / 255.0)
            self._geometries.append(points)
        self._geometries += piece_geometries(list(pieces.values()))
        self._words = [*corner_texts(self.exhibit, self.title, self.state.mode)]
        self._words += [_plate(piece) for piece in pieces.values() if isinstance(piece, Label)]
        image, texture = in_one_picture(self._words)
        self._plates = _textured(np.zeros((len(self._words), 4, 3)), texture, image)
        self._geometries.append(self._plates)
        self._placed = None
        first = self._points is None
        self._points = self._geometries[0]
        for geometry in self._geometries:
            self.visualizer.add_geometry(geometry, reset_bounding_box=first)
        self.place_plates()

    def place_plates(self) -> bool:
        """Turn all words towards the viewer, and return whether that changed the picture."""
        import open3d as o3d

        parameters = self.visualizer.get_view_control().convert_to_pinhole_camera_parameters()
        own, pose = parameters.intrinsic, np.asarray(parameters.extrinsic)
        camera = Intrinsics.from_matrix(np.asarray(own.intrinsic_matrix), width=own.width, height=own.height)
        view = np.append(pose.ravel(), [camera.fx, camera.width, camera.height])
        if self._plates is None or (self._placed is not None and np.array_equal(self._placed, view)):
            return False
        corners = plate_corners(self._words, camera, pose)
        self._plates.vertices = o3d.utility.Vector3dVector(corners.reshape(-1, 3))
        self.visualizer.update_geometry(self._plates)
        self._placed = view
        return True

    def _callback(self, key: str) -> Callable[[Any], bool]:
        """Return the function that Open3D calls for a key: True asks for a new picture."""

        def called(_: Any) -> bool:
            self.press(key)
            return True

        return called


def head_lines(exhibit: Exhibit, title: str, mode: str) -> list[tuple[str, Color, Swatches]]:
    """Return what the window says at its top: the title, the facts, what the colours mean, and the notes."""
    lines: list[tuple[str, Color, Swatches]] = [
        (title, TEXT, ()),
        ("   ".join((*exhibit.facts, exhibit.reference)), MUTED, ()),
        (f"{mode}: {MEANING[mode]}", TEXT, legend(mode, exhibit.frame_ids)),
    ]
    return lines + [(note, MUTED, ()) for note in exhibit.notes[:6]]


def corner_texts(exhibit: Exhibit, title: str, mode: str) -> list[Plate]:
    """Return the words at the window's corners: the head lines, and which keys there are."""
    plates = []
    for row, (text, color, swatches) in enumerate([*head_lines(exhibit, title, mode), (HELP, MUTED, ())]):
        parts = [text_image(text, LETTERS, color, DARK)]
        for name, shown in swatches:
            square = np.pad(
                np.full((LETTERS, LETTERS, 3), shown, np.uint8), ((5, 5), (9, 0), (0, 0)), constant_values=DARK[0]
            )
            parts += [square, text_image(name, LETTERS, MUTED, DARK)]
        corner = (8, -8) if text == HELP else (8, 8 + (LETTERS + 10) * row)
        plates.append(Plate(image=np.concatenate(parts, axis=1)[:, :MAX_WIDTH], corner=corner))
    return plates


def _plate(label: Label) -> Plate:
    image = text_image(label.text, LETTERS - 2, ink_on(label.color), label.color, 600)
    return Plate(image=image[:, :MAX_WIDTH], at=label.at)


def piece_geometries(pieces: list[Piece]) -> list[Any]:
    """Return Open3D's geometries of all pieces but labels: lines in one mesh, balls in one, each picture in its own."""
    import open3d as o3d
    import trimesh

    found = []
    for kind in (Lines, Ball):
        solids = [solid_of(piece, np.eye(3), 1.0) for piece in pieces if isinstance(piece, kind)]
        if solids:
            whole = trimesh.util.concatenate(solids)
            mesh = o3d.geometry.TriangleMesh(
                o3d.utility.Vector3dVector(whole.vertices), o3d.utility.Vector3iVector(whole.faces.astype(np.int32))
            )
            mesh.vertex_colors = o3d.utility.Vector3dVector(np.asarray(whole.visual.vertex_colors)[:, :3] / 255.0)
            found.append(mesh)
            if kind is Ball:  # lines stay flat
                mesh.compute_vertex_normals()
    texture = np.array([[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]])
    return found + [_textured(item.corners[None], texture, item.image) for item in pieces if isinstance(item, Picture)]


def _textured(corners: NDArray[np.float64], texture: NDArray[np.float64], image: NDArray[np.uint8]) -> Any:
    """Return rectangles (N, 4, 3) with places (N, 4, 2) in an image, to be seen from both sides."""
    import open3d as o3d

    faces = np.array([[0, 1, 2], [0, 2, 3], [2, 1, 0], [3, 2, 0]])
    triangles = (faces[None] + 4 * np.arange(len(corners))[:, None, None]).reshape(-1, 3)
    mesh = o3d.geometry.TriangleMesh(
        o3d.utility.Vector3dVector(corners.reshape(-1, 3)), o3d.utility.Vector3iVector(triangles.astype(np.int32))
    )
    mesh.triangle_uvs = o3d.utility.Vector2dVector(texture.reshape(-1, 2)[triangles.reshape(-1)])
    mesh.triangle_material_ids = o3d.utility.IntVector([0] * len(triangles))
    mesh.textures = [o3d.geometry.Image(np.ascontiguousarray(image))]
    return mesh
