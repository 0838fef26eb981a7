"""Pieces as coloured triangles: for model files, and for the window's lines and balls."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gapdata.show.scene.palette import Color, ink_on
from gapdata.show.scene.pieces import Ball, Label, Lines, Picture, Piece
from gapdata.show.sheet.text import text_image

if TYPE_CHECKING:
    import trimesh

LETTERS = 15
"""Pixels of a label's letters; a plate has a vertex for each of its pixels."""
PLATE = 0.022
"""Height of a label's plate as a share of the exhibit's extent."""
APART = 2e-4
"""Half the distance of a plate's two sides, as a share of the extent."""
PICTURE_WIDTH = 72
"""Vertices across a picture: colours between them are interpolated, so this is its resolution."""


def solid_of(piece: Piece, axes: NDArray[np.float64], scale: float) -> trimesh.Trimesh:
    """Return a piece as triangles, metres, shown frame, with a colour (RGB) for each vertex.

    Args:
        piece: what is drawn.
        axes: (3, 3) rows right, forward and up: labels stand upright and face against forward.
        scale: the exhibit's extent, metres.
    """
    if isinstance(piece, Lines):
        return bars(piece.segments, piece.radius, piece.color)
    if isinstance(piece, Ball):
        vertices, triangles = _unit_ball(piece.answer)
        return _mesh(piece.center + piece.radius * vertices, triangles, np.array(piece.color))
    if isinstance(piece, Picture):
        import cv2

        size = (PICTURE_WIDTH, max(2, round(PICTURE_WIDTH * piece.image.shape[0] / piece.image.shape[1])))
        return _colored_grid(piece.corners, np.asarray(cv2.resize(piece.image, size, interpolation=cv2.INTER_AREA)))
    return _plate(piece, axes, scale)


def bars(segments: NDArray[np.float64], radius: float, color: Color) -> trimesh.Trimesh:
    """Return segments (S, 2, 3) as square bars that reach ``radius`` beyond their ends, so that corners close."""
    along = segments[:, 1] - segments[:, 0]
    length = np.linalg.norm(along, axis=1, keepdims=True)
    along = np.where(length > 1e-9, along / np.maximum(length, 1e-9), [0.0, 0.0, 1.0])
    # Any direction that is not along the segment gives a first side.
    side = np.cross(along, np.eye(3)[np.abs(along).argmin(axis=1)])
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    other = np.cross(along, side)
    offsets = np.stack([side + other, other - side, -side - other, side - other], axis=1) * radius  # (S, 4, 3)
    ends = np.stack([segments[:, 0] - radius * along, segments[:, 1] + radius * along], axis=1)
    vertices = (ends[:, :, None] + offsets[:, None]).reshape(-1, 3)  # (S, 2, 4, 3)
    faces = [[a, (a + 1) % 4, 4 + a] for a in range(4)] + [[(a + 1) % 4, 4 + (a + 1) % 4, 4 + a] for a in range(4)]
    faces += [[0, 2, 1], [0, 3, 2], [4, 5, 6], [4, 6, 7]]
    triangles = (np.array(faces)[None] + 8 * np.arange(len(segments))[:, None, None]).reshape(-1, 3)
    return _mesh(vertices, triangles, np.array(color))


@cache
def _unit_ball(answer: bool) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return vertices and triangles of a sphere, or of the octahedron that marks an answer, of radius 1."""
    import trimesh

    if not answer:
        ball = trimesh.creation.icosphere(subdivisions=2)
        return np.asarray(ball.vertices), np.asarray(ball.faces)
    corners = np.concatenate([np.eye(3), -np.eye(3)])
    faces = [[x, y, z] if (x + y + z) % 2 else [y, x, z] for x in (0, 3) for y in (1, 4) for z in (2, 5)]
    return corners, np.array(faces)


def _plate(piece: Label, axes: NDArray[np.float64], scale: float) -> trimesh.Trimesh:
    """Return two plates with the text, one for each side; the middle of their lower edges is at the label's place."""
    import trimesh

    image = text_image(piece.text or "?", LETTERS, ink_on(piece.color), piece.color, 600)
    height = PLATE * scale
    across, up = axes[0] * height * image.shape[1] / image.shape[0], axes[2] * height
    apart = axes[1] * APART * scale
    left, right = piece.at - across / 2, piece.at + across / 2
    front = _colored_grid(np.stack([left + up, right + up, right, left]) - apart, image)
    back = _colored_grid(np.stack([right + up, left + up, left, right]) + apart, image)
    return trimesh.util.concatenate([front, back])


def _colored_grid(corners: NDArray[np.float64], image: NDArray[np.uint8]) -> trimesh.Trimesh:
    """Return an image (h, w, 3) as vertices over a rectangle (4, 3), its corners clockwise from the top left."""
    height, width = image.shape[:2]
    v, u = (np.arange(side)[:, None] / (side - 1) for side in (height, width))
    top, bottom = (one + u * (other - one) for one, other in ((corners[0], corners[1]), (corners[3], corners[2])))
    vertices = top[None] + v[:, :, None] * (bottom - top)[None]
    row, column = np.mgrid[: height - 1, : width - 1]
    a = (row * width + column).ravel()
    triangles = np.concatenate([np.stack([a, a + width, a + 1], 1), np.stack([a + 1, a + width, a + width + 1], 1)])
    return _mesh(vertices.reshape(-1, 3), triangles, image.reshape(-1, 3))


def _mesh(vertices: NDArray[np.float64], triangles: NDArray[np.int64], colors: NDArray[np.integer]) -> trimesh.Trimesh:
    import trimesh

    colors = np.broadcast_to(colors, vertices.shape).astype(np.uint8)
    return trimesh.Trimesh(vertices, triangles, vertex_colors=colors, process=False, validate=False)
