"""Lines, balls and labels over a rendered picture, aware of what the cloud hides.

Both renderers hand over a picture and its depth, so drawings are made here once, in pixels, and stay crisp: what lies
behind the cloud is drawn faint, labels move aside rather than cover each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gapdata.show.scene.palette import Color
from gapdata.show.sheet.text import put_text, text_width
from gapdata.show.sheet.viewpoint import Viewpoint

PIECE = 12.0
"""Lines are tested against the depth in pieces of about this many pixels."""
HIDDEN_MARGIN = 0.04
"""How far behind the cloud's surface something must lie to count as hidden, metres."""
NEAR = 0.05

Rectangle = tuple[int, int, int, int]  # left, top, right, bottom


@dataclass(kw_only=True, eq=False)
class Overlay:
    """A picture that is being drawn on, its depth, and the rectangles that labels must keep clear of."""

    image: NDArray[np.uint8]  # (h, w, 3) RGB
    depth: NDArray[np.float32]  # (h, w) metres, inf where nothing is
    view: Viewpoint
    taken: list[Rectangle] = field(default_factory=list)

    def lines(self, segments: NDArray[np.float64], color: Color, thickness: int = 2, hidden: float = 0.22) -> None:
        """Draw (S, 2, 3) segments of the shown frame; the parts behind the cloud with opacity ``hidden``."""
        import cv2

        for start, end in segments:
            ends = self._pieces(start, end)
            if ends is None:
                continue
            pixels, z = ends
            behind = self._hidden((pixels[:-1] + pixels[1:]) / 2, (z[:-1] + z[1:]) / 2)
            for first, last, is_hidden in _runs(behind):
                a, b = (_subpixel(pixels[i]) for i in (first, last))
                if not is_hidden:
                    cv2.line(self.image, a, b, color, thickness, cv2.LINE_AA, 4)
                elif hidden > 0:
                    self._faint_line(a, b, color, thickness, hidden)

    def ball(self, point: NDArray[np.floating], color: Color, radius: int) -> tuple[int, int] | None:
        """A shaded ball, with a dark core where the cloud hides it; its pixel, or None outside the picture."""
        import cv2

        placed = self._place(point, radius)
        if placed is None:
            return None
        (x, y), at, hidden = placed
        cv2.circle(self.image, at, (radius + 2) * 16, (255, 255, 255), -1, cv2.LINE_AA, 4)
        cv2.circle(self.image, at, (radius + 1) * 16, (24, 25, 30), -1, cv2.LINE_AA, 4)
        cv2.circle(self.image, at, radius * 16, color, -1, cv2.LINE_AA, 4)
        if hidden:
            cv2.circle(self.image, at, radius * 8, (24, 25, 30), -1, cv2.LINE_AA, 4)
        else:
            shine = (at[0] - radius * 5, at[1] - radius * 5)
            light = tuple(round(value + 0.6 * (255 - value)) for value in color)
            cv2.circle(self.image, shine, radius * 4, light, -1, cv2.LINE_AA, 4)
        return x, y

    def diamond(self, point: NDArray[np.floating], color: Color, edge: Color, radius: int) -> tuple[int, int] | None:
        """A model's answer: a square on its corner with an edge of its own; its pixel, or None outside the picture."""
        import cv2

        placed = self._place(point, radius)
        if placed is None:
            return None
        (x, y), at, _ = placed
        for size, paint in ((radius + 5, edge), (radius + 1, (24, 25, 30)), (radius, color)):
            reach = size * 16
            corners = [[at[0], at[1] - reach], [at[0] + reach, at[1]], [at[0], at[1] + reach], [at[0] - reach, at[1]]]
            cv2.fillPoly(self.image, [np.array(corners, dtype=np.int32)], paint, cv2.LINE_AA, 4)
        return x, y

    def picture(self, corners: NDArray[np.float64], image: NDArray[np.uint8], hidden: float = 0.25) -> None:
        """An image on the rectangle whose corners (4, 3) go clockwise from its top left; what the cloud hides of it
        with opacity ``hidden``. Nothing is drawn where a corner lies behind the viewer.
        """
        import cv2

        pixels, z = self.view.project(corners)
        if z.min() < NEAR or not np.isfinite(pixels).all():
            return
        low = np.maximum(np.floor(pixels.min(axis=0)).astype(int), 0)
        high = np.minimum(np.ceil(pixels.max(axis=0)).astype(int) + 1, self.image.shape[1::-1])
        width, height = (high - low).tolist()
        if width < 2 or height < 2:
            return
        source = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * image.shape[1::-1] - 0.5
        local = (pixels - low).astype(np.float32)
        shrunk = image
        while min(shrunk.shape[:2]) > 2 * max(width, height):
            shrunk = np.asarray(cv2.resize(shrunk, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
            source = (source + 0.5) / 2 - 0.5
        matrix = cv2.getPerspectiveTransform(source.astype(np.float32), local)
        drawn = cv2.warpPerspective(shrunk, matrix, (width, height), flags=cv2.INTER_LINEAR)
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

    def label(self, anchor: tuple[int, int], text: str, size: int, color: Color, weight: int = 500) -> None:
        """A plate with ``text`` near ``anchor`` where it covers no other label and no ball, with a leader line."""
        import cv2

        width, height = text_width(text, size, weight) + 14, size + 10
        place = self._free_place(anchor, width, height)
        left, top, right, bottom = place
        self.taken.append(place)
        tip = (min(max(anchor[0], left), right), min(max(anchor[1], top), bottom))
        if abs(tip[0] - anchor[0]) + abs(tip[1] - anchor[1]) > 4:
            cv2.line(self.image, anchor, tip, color, 1, cv2.LINE_AA)
        plate = self.image[top:bottom, left:right]
        plate[:] = (plate * 0.22 + np.array([16, 17, 21]) * 0.78).astype(np.uint8)
        cv2.rectangle(self.image, (left, top), (right - 1, bottom - 1), color, 1)
        put_text(self.image, text, (left + 7, bottom - 5 - size // 6), size, (244, 246, 250), weight)

    def inside(self, point: NDArray[np.floating]) -> tuple[int, int] | None:
        """The pixel of a point, or None where it is outside the picture."""
        pixel, z = self.view.project(np.asarray(point, dtype=np.float64))
        if not (np.isfinite(pixel).all() and z > NEAR and self._inside(pixel)):
            return None
        return round(float(pixel[0])), round(float(pixel[1]))

    def _place(self, point: NDArray[np.floating], radius: int) -> tuple[tuple[int, int], tuple[int, int], bool] | None:
        """Where a point is drawn, in pixels and in OpenCV's fixed point, and whether the cloud hides it; labels keep
        clear of it.
        """
        pixel, z = self.view.project(np.asarray(point, dtype=np.float64))
        if not (np.isfinite(pixel).all() and z > NEAR and self._inside(pixel)):
            return None
        x, y = round(float(pixel[0])), round(float(pixel[1]))
        self.taken.append((x - radius, y - radius, x + radius, y + radius))
        return (x, y), _subpixel(pixel), bool(self._hidden(pixel[None], np.array([z]))[0])

    def _inside(self, pixel: NDArray[np.float64]) -> bool:
        return bool(0 <= pixel[0] < self.image.shape[1] and 0 <= pixel[1] < self.image.shape[0])

    def _pieces(
        self, start: NDArray[np.float64], end: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Pixels (P, 2) and depths (P,) along a segment, cut where it passes behind the viewer."""
        _, z = self.view.project(np.stack([start, end]))
        if z.max() <= NEAR:
            return None
        if z.min() < NEAR:
            share = (NEAR - z[0]) / (z[1] - z[0])
            cut = start + share * (end - start)
            start, end = (cut, end) if z[0] < NEAR else (start, cut)
        pixels, _ = self.view.project(np.stack([start, end]))
        length = float(np.linalg.norm(pixels[1] - pixels[0]))
        count = int(np.clip(length / PIECE, 1, 200)) + 1
        along = np.linspace(0.0, 1.0, count)[:, None]
        pixels, depths = self.view.project(start + along * (end - start))
        return np.clip(np.nan_to_num(pixels), -10_000, 10_000), depths

    def _hidden(self, pixels: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.bool_]:
        height, width = self.depth.shape
        column, row = np.rint(pixels[:, 0]).astype(int), np.rint(pixels[:, 1]).astype(int)
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        nearest = self.depth[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
        return np.asarray(inside & (z > nearest + HIDDEN_MARGIN))

    def _faint_line(
        self, start: tuple[int, int], end: tuple[int, int], color: Color, thickness: int, opacity: float
    ) -> None:
        import cv2

        height, width = self.image.shape[:2]
        left, right = sorted((start[0] // 16, end[0] // 16))
        top, bottom = sorted((start[1] // 16, end[1] // 16))
        left, top = max(left - 4, 0), max(top - 4, 0)
        right, bottom = min(right + 5, width), min(bottom + 5, height)
        if left >= right or top >= bottom:
            return
        patch = self.image[top:bottom, left:right]
        drawn = patch.copy()
        shift = np.array([left, top]) * 16
        cv2.line(drawn, tuple(np.array(start) - shift), tuple(np.array(end) - shift), color, thickness, cv2.LINE_AA, 4)
        patch[:] = cv2.addWeighted(drawn, opacity, patch, 1.0 - opacity, 0.0)

    def _free_place(self, anchor: tuple[int, int], width: int, height: int) -> Rectangle:
        """The nearest rectangle around ``anchor`` that covers nothing taken; the least covering one when all do."""
        best, least = (0, 0, width, height), np.inf
        for distance in (14, 26, 42, 64, 92, 126):
            for angle in (-0.9, 0.3, -2.2, 2.8, 0.9, 2.2, -1.57, 1.57):
                x = (
                    anchor[0]
                    + distance * np.cos(angle)
                    - (width if np.cos(angle) < -0.1 else width / 2 * (abs(np.cos(angle)) < 0.1))
                )
                y = anchor[1] + distance * np.sin(angle) - (height if np.sin(angle) < 0 else 0)
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


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int, bool]]:
    """Runs of equal flags as (first, last + 1, flag): a line is drawn in as few strokes as its visibility allows."""
    edges = np.flatnonzero(np.diff(flags.astype(np.int8))) + 1
    bounds = [0, *edges.tolist(), len(flags)]
    return [(a, b, bool(flags[a])) for a, b in pairwise(bounds)]


def _subpixel(pixel: NDArray[np.float64]) -> tuple[int, int]:
    """Pixel coordinates in OpenCV's fixed point with four fractional bits."""
    return round(float(pixel[0]) * 16), round(float(pixel[1]) * 16)
