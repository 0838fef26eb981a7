"""Pieces as coloured triangles, for files that know nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.show.scene.palette import Color, ink_on
from gapdata.show.scene.pieces import Ball, Label, Lines, Picture, Piece
from gapdata.show.sheet.text import put_text, text_width

LETTERS = 15
"""Pixels of a label's letters; a plate has a vertex for each of its pixels."""
PLATE = 0.022
"""Height of a label's plate as a share of the exhibit's extent."""
APART = 2e-4
"""Half the distance of a plate's two sides, as a share of the extent."""
PICTURE_WIDTH = 72
"""Vertices across a picture: colours between them are interpolated, so this is its resolution."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solid:
    """Triangles with a colour for each vertex."""

    vertices: NDArray[np.float64]  # (V, 3) metres, shown frame
    triangles: NDArray[np.int64]  # (T, 3)
    colors: NDArray[np.uint8]  # (V, 3) RGB


def solid_of(piece: Piece, axes: NDArray[np.float64], scale: float) -> Solid:
    """A piece as triangles.

    Args:
        piece: what is drawn.
        axes: (3, 3) rows right, forward and up: labels stand upright and face against forward.
        scale: the exhibit's extent, metres.
    """
    if isinstance(piece, Lines):
        return bars(piece.segments, piece.radius, piece.color)
    if isinstance(piece, Ball):
        return sphere(piece)
    if isinstance(piece, Picture):
        return _picture(piece)
    return _plate(piece, axes, scale)


def bars(segments: NDArray[np.float64], radius: float, color: Color) -> Solid:
    """Segments (S, 2, 3) as square bars that reach ``radius`` beyond their ends, so that corners close."""
    along = segments[:, 1] - segments[:, 0]
    length = np.linalg.norm(along, axis=1, keepdims=True)
    along = np.where(length > 1e-9, along / np.maximum(length, 1e-9), [0.0, 0.0, 1.0])
    # Any direction that is not along the segment gives a first side.
    helper = np.eye(3)[np.abs(along).argmin(axis=1)]
    side = np.cross(along, helper)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    other = np.cross(along, side)
    offsets = np.stack([side + other, other - side, -side - other, side - other], axis=1) * radius  # (S, 4, 3)
    ends = np.stack([segments[:, 0] - radius * along, segments[:, 1] + radius * along], axis=1)
    vertices = (ends[:, :, None] + offsets[:, None]).reshape(-1, 3)  # (S, 2, 4, 3)
    faces = [[a, (a + 1) % 4, 4 + a] for a in range(4)] + [[(a + 1) % 4, 4 + (a + 1) % 4, 4 + a] for a in range(4)]
    faces += [[0, 2, 1], [0, 3, 2], [4, 5, 6], [4, 6, 7]]
    triangles = (np.array(faces)[None] + 8 * np.arange(len(segments))[:, None, None]).reshape(-1, 3)
    return Solid(vertices=vertices, triangles=triangles, colors=_one_color(color, len(vertices)))


def sphere(ball: Ball) -> Solid:
    """A sphere of ``around`` by ``along`` faces."""
    polar = np.pi * np.arange(ball.along + 1) / ball.along
    turn = 2 * np.pi * np.arange(ball.around) / ball.around
    ring = np.stack(
        [
            np.sin(polar)[:, None] * np.cos(turn)[None],
            np.sin(polar)[:, None] * np.sin(turn)[None],
            np.repeat(np.cos(polar)[:, None], ball.around, axis=1),
        ],
        axis=-1,
    )
    row, column = np.mgrid[: ball.along, : ball.around]
    right = (column + 1) % ball.around
    corner = [row * ball.around + column, (row + 1) * ball.around + column, (row + 1) * ball.around + right]
    corner.append(row * ball.around + right)
    a, b, c, d = (item.ravel() for item in corner)
    vertices = ball.center + ball.radius * ring.reshape(-1, 3)
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    return Solid(vertices=vertices, triangles=triangles, colors=_one_color(ball.color, len(vertices)))


def _picture(piece: Picture) -> Solid:
    import cv2

    size = (PICTURE_WIDTH, max(2, round(PICTURE_WIDTH * piece.image.shape[0] / piece.image.shape[1])))
    return _colored_grid(piece.corners, np.asarray(cv2.resize(piece.image, size, interpolation=cv2.INTER_AREA)))


def _plate(piece: Label, axes: NDArray[np.float64], scale: float) -> Solid:
    """A plate with the text, its lower edge's middle at the label's place, and one behind it to be read from there."""
    text = piece.text or "?"
    image = np.zeros((LETTERS + 8, text_width(text, LETTERS, 600) + 10, 3), dtype=np.uint8)
    image[:] = piece.color
    put_text(image, text, (5, LETTERS + 1), LETTERS, ink_on(piece.color), 600)
    height = PLATE * scale
    across, up = axes[0] * height * image.shape[1] / image.shape[0], axes[2] * height
    apart = axes[1] * APART * scale
    left, right = piece.at - across / 2, piece.at + across / 2
    front = _colored_grid(np.stack([left + up, right + up, right, left]) - apart, image)
    back = _colored_grid(np.stack([right + up, left + up, left, right]) + apart, image)
    return Solid(
        vertices=np.concatenate([front.vertices, back.vertices]),
        triangles=np.concatenate([front.triangles, back.triangles + len(front.vertices)]),
        colors=np.concatenate([front.colors, back.colors]),
    )


def _colored_grid(corners: NDArray[np.float64], image: NDArray[np.uint8]) -> Solid:
    """An image (h, w, 3) as a grid of vertices over a rectangle (4, 3), its corners clockwise from the top left."""
    height, width = image.shape[:2]
    v, u = (np.arange(side)[:, None] / (side - 1) for side in (height, width))
    top, bottom = (one + u * (other - one) for one, other in ((corners[0], corners[1]), (corners[3], corners[2])))
    vertices = top[None] + v[:, :, None] * (bottom - top)[None]
    row, column = np.mgrid[: height - 1, : width - 1]
    a = (row * width + column).ravel()
    triangles = np.concatenate([np.stack([a, a + width, a + 1], 1), np.stack([a + 1, a + width, a + width + 1], 1)])
    return Solid(vertices=vertices.reshape(-1, 3), triangles=triangles, colors=image.reshape(-1, 3))


def _one_color(color: Color, count: int) -> NDArray[np.uint8]:
    return np.full((count, 3), color, dtype=np.uint8)
