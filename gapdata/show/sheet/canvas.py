"""Pieces drawn over a rendered picture, aware of what the cloud hides.

Drawings are made in pixels, so that they stay crisp: parts behind the cloud are drawn faint, labels move aside
rather than cover each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from gapdata.show.scene.palette import PREDICTED, Color
from gapdata.show.scene.pieces import Ball, Label, Lines, Picture, Piece
from gapdata.show.sheet.text import put_text, text_width
from gapdata.show.sheet.viewpoint import Viewpoint

STEP = 12.0
"""Lines are tested against the depth in steps of about this many pixels."""
HIDDEN_MARGIN = 0.04
"""How far behind the cloud's surface something must lie to count as hidden, metres."""
NEAR = 0.05
DARK: Color = (24, 25, 30)

Rectangle = tuple[int, int, int, int]  # left, top, right, bottom


@dataclass(kw_only=True, eq=False)
class Canvas:
    """A picture that is being drawn on, its depth, and the rectangles that labels must keep clear of."""

    image: NDArray[np.uint8]  # (h, w, 3) RGB
    depth: NDArray[np.float32]  # (h, w) metres, inf where nothing is
    view: Viewpoint
    taken: list[Rectangle] = field(default_factory=list)

    def draw(self, pieces: Iterable[Piece], radius: int) -> None:
        """Draw pieces: pictures from the farthest on, then lines, balls of ``radius`` pixels, and words over all."""
        pieces = list(pieces)
        pictures = [piece for piece in pieces if isinstance(piece, Picture)]
        for picture in sorted(pictures, key=lambda item: -float(self.view.project(item.corners)[1].mean())):
            self.picture(picture)
        for lines in (piece for piece in pieces if isinstance(piece, Lines)):
            self.lines(lines)
        for ball in (piece for piece in pieces if isinstance(piece, Ball)):
            self.ball(ball, radius)
        for label in (piece for piece in pieces if isinstance(piece, Label)):
            self.label(label)

    def lines(self, piece: Lines) -> None:
        """Draw lines; their parts behind the cloud are drawn with the piece's opacity for what is hidden."""
        import cv2

        strokes = [stroke for start, end in piece.segments for stroke in self._strokes(start, end)]
        faint = self.image.copy()
        for hidden, layer in ((True, faint), (False, self.image)):
            for first, last, behind in strokes:
                if behind == hidden:
                    cv2.line(layer, first, last, piece.color, piece.pixels, cv2.LINE_AA, 4)
            if hidden and any(behind for *_, behind in strokes):
                cv2.addWeighted(faint, piece.hidden, self.image, 1.0 - piece.hidden, 0.0, self.image)

    def ball(self, piece: Ball, radius: int) -> None:
        """Draw a prompt as a shaded ball, with a dark core where the cloud hides it; an answer as a diamond."""
        import cv2

        pixel, z = self.view.project(piece.center)
        if not self._inside(pixel, z):
            return
        x, y = np.rint(pixel).astype(int).tolist()
        at = _subpixel(pixel)
        self.taken.append((x - radius, y - radius, x + radius, y + radius))
        if piece.answer:
            for size, paint in ((radius + 4, PREDICTED), (radius, DARK), (radius - 1, piece.color)):
                corners = np.array(at) + 16 * size * np.array([[0, -1], [1, 0], [0, 1], [-1, 0]])
                cv2.fillPoly(self.image, [corners.astype(np.int32)], paint, cv2.LINE_AA, 4)
            return
        for size, paint in ((radius + 2, (255, 255, 255)), (radius + 1, DARK), (radius, piece.color)):
            cv2.circle(self.image, at, size * 16, paint, -1, cv2.LINE_AA, 4)
        if self._hidden(pixel[None], np.array([z]))[0]:
            cv2.circle(self.image, at, radius * 8, DARK, -1, cv2.LINE_AA, 4)
        else:
            light = tuple(round(value + 0.6 * (255 - value)) for value in piece.color)
            cv2.circle(self.image, (at[0] - radius * 5, at[1] - radius * 5), radius * 4, light, -1, cv2.LINE_AA, 4)

    def picture(self, piece: Picture, hidden: float = 0.25) -> None:
        """Draw an image, with opacity ``hidden`` where the cloud hides it; skip one that reaches behind the viewer."""
        import cv2

        pixels, z = self.view.project(piece.corners)
        if not np.isfinite(pixels).all() or z.min() <= NEAR:
            return
        low = np.maximum(np.floor(pixels.min(axis=0)).astype(int), 0)
        high = np.minimum(np.ceil(pixels.max(axis=0)).astype(int) + 1, self.image.shape[1::-1])
        width, height = (high - low).tolist()
        if width < 2 or height < 2:
            return
        local = (pixels - low).astype(np.float32)
        image = piece.image
        while min(image.shape[:2]) > 2 * max(width, height):
            image = np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
        source = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * image.shape[1::-1] - 0.5
        matrix = cv2.getPerspectiveTransform(source.astype(np.float32), local)
        drawn = cv2.warpPerspective(image, matrix, (width, height), flags=cv2.INTER_LINEAR)
        cover = np.zeros((height, width), dtype=np.uint8)
        cv2.fillConvexPoly(cover, np.rint(local * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
        # Inverse depth is linear in the pixel on a plane.
        plane, *_ = np.linalg.lstsq(np.column_stack([local, np.ones(4)]), 1.0 / z, rcond=None)
        v, u = np.mgrid[:height, :width]
        distance = 1.0 / np.maximum(u * plane[0] + v * plane[1] + plane[2], 1e-6)
        window = np.s_[low[1] : high[1], low[0] : high[0]]
        behind = distance > self.depth[window] + HIDDEN_MARGIN
        share = (cover / 255.0 * np.where(behind, hidden, 1.0))[..., None]
        self.image[window] = np.rint(self.image[window] * (1 - share) + drawn * share).astype(np.uint8)

    def label(self, piece: Label, size: int = 13) -> None:
        """Write words on a plate where it covers no other label and no ball, with a line to their point."""
        import cv2

        pixel, z = self.view.project(piece.at)
        if not self._inside(pixel, z):
            return
        x, y = np.rint(pixel).astype(int).tolist()
        place = self._free_place((x, y), text_width(piece.text, size, 600) + 14, size + 10)
        left, top, right, bottom = place
        self.taken.append(place)
        tip = (min(max(x, left), right), min(max(y, top), bottom))
        if abs(tip[0] - x) + abs(tip[1] - y) > 4:
            cv2.line(self.image, (x, y), tip, piece.color, 1, cv2.LINE_AA)
        self.plate(piece.text, place, size)
        cv2.rectangle(self.image, (left, top), (right - 1, bottom - 1), piece.color, 1)

    def plate(self, text: str, place: Rectangle, size: int) -> None:
        """Write a line of text on a darkened rectangle."""
        left, top, right, bottom = place
        ground = self.image[top:bottom, left:right]
        ground[:] = (ground * 0.25 + np.array([16, 17, 21]) * 0.75).astype(np.uint8)
        put_text(self.image, text, (left + 7, bottom - 5 - size // 6), size, (244, 246, 250), 600)

    def scale(self) -> None:
        """Draw a bar of a round length in the lower left corner; true for a parallel view."""
        import cv2

        finite = self.depth[np.isfinite(self.depth)]
        if not len(finite):
            return
        metre = self.view.camera.fx / float(np.median(finite))
        length = next((value for value in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0) if value * metre > 70), 10.0)
        x, y, width = 16, self.image.shape[0] - 18, round(length * metre)
        for start, end in (((x, y), (x + width, y)), *(((at, y - 5), (at, y + 5)) for at in (x, x + width))):
            cv2.line(self.image, start, end, (236, 239, 244), 2)
        put_text(self.image, f"{length:g} m", (x + width + 10, y + 5), 14, (236, 239, 244), 500)

    def _inside(self, pixel: NDArray[np.float64], z: NDArray[np.float64] | float) -> bool:
        height, width = self.depth.shape
        return bool(z > NEAR and 0 <= pixel[0] < width and 0 <= pixel[1] < height)

    def _strokes(
        self, start: NDArray[np.float64], end: NDArray[np.float64]
    ) -> list[tuple[tuple[int, int], tuple[int, int], bool]]:
        """Cut a segment into strokes: both ends in OpenCV's fixed point, and whether the cloud hides it.

        The part behind the viewer is left out.
        """
        _, z = self.view.project(np.stack([start, end]))
        if z.max() <= NEAR:
            return []
        if z.min() < NEAR:
            cut = start + (NEAR - z[0]) / (z[1] - z[0]) * (end - start)
            start, end = (cut, end) if z[0] < NEAR else (start, cut)
        pixels, _ = self.view.project(np.stack([start, end]))
        count = int(np.clip(float(np.linalg.norm(pixels[1] - pixels[0])) / STEP, 1, 200)) + 1
        pixels, z = self.view.project(start + np.linspace(0.0, 1.0, count)[:, None] * (end - start))
        pixels = np.clip(np.nan_to_num(pixels), -10_000, 10_000)
        behind = self._hidden((pixels[:-1] + pixels[1:]) / 2, (z[:-1] + z[1:]) / 2)
        ends = [_subpixel(pixel) for pixel in pixels]
        runs = [list(run) for _, run in groupby(range(len(behind)), key=behind.__getitem__)]
        return [(ends[run[0]], ends[run[-1] + 1], bool(behind[run[0]])) for run in runs]

    def _hidden(self, pixels: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.bool_]:
        height, width = self.depth.shape
        column, row = np.rint(pixels).astype(int).T
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        nearest = self.depth[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
        return np.asarray(inside & (z > nearest + HIDDEN_MARGIN))

    def _free_place(self, anchor: tuple[int, int], width: int, height: int) -> Rectangle:
        """Return the nearest rectangle around ``anchor`` that covers least of what is taken."""
        best, least = (0, 0, width, height), np.inf
        for distance in (14, 26, 42, 64, 92, 126):
            for angle in (-0.9, 0.3, -2.2, 2.8, 0.9, 2.2, -1.57, 1.57):
                across, down = np.cos(angle), np.sin(angle)
                x = anchor[0] + distance * across - (width if across < -0.1 else width / 2 * (abs(across) < 0.1))
                y = anchor[1] + distance * down - (height if down < 0 else 0)
                left = int(np.clip(x, 4, max(4, self.image.shape[1] - width - 4)))
                top = int(np.clip(y, 4, max(4, self.image.shape[0] - height - 4)))
                place = (left, top, left + width, top + height)
                covered = sum(_overlap(place, other) for other in self.taken)
                if covered == 0:
                    return place
                if covered + distance < least:
                    best, least = place, covered + distance
        return best


def _overlap(a: Rectangle, b: Rectangle) -> int:
    width = min(a[2], b[2] + 3) - max(a[0], b[0] - 3)
    height = min(a[3], b[3] + 3) - max(a[1], b[1] - 3)
    return max(width, 0) * max(height, 0)


def _subpixel(pixel: NDArray[np.float64]) -> tuple[int, int]:
    """Return pixel coordinates in OpenCV's fixed point with four fractional bits."""
    return round(float(pixel[0]) * 16), round(float(pixel[1]) * 16)
