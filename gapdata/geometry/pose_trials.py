"""Measure how well a few frames of a scan agree when its poses, depth and intrinsics are read in another way.

The frames are compared in pairs that are near in time and some degrees apart, whichever way poses are read: the angle
between two frames does not depend on direction, axes or unit. See :mod:`gapdata.geometry.consistency` for the measure.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics, transform
from gapdata.geometry.consistency import (
    MIN_SAMPLES,
    Surface,
    compare_surfaces,
    sample_surface,
    stretch_terms,
    surface_distances,
)
from gapdata.geometry.depth_scales import INDOORS, NO_READING
from gapdata.geometry.pose_convention import OURS, PoseConvention

APART = 0.5
"""Metres that count for two frames that share no surface, or look through each other's surfaces."""
MIN_OVERLAP = 0.2
"""Share of two frames that are near in time that must show the same surface: less does not count as overlap."""
MAX_FREE_SPACE = 0.3
COMPARED_WIDTH = 320
"""Depth images are thinned to about this width; the pixels that are left keep their place and value."""
THINNED = 4
"""Every n-th sample is enough to search; all of them decide."""
USUAL_DEPTH = 2.0
"""Metres that the median depth is brought to where only proportions count."""
SAME_SURFACE = 0.05
"""Metres within which two frames show the same point."""
FAR_RATIO = 6.0
"""Depth beyond this multiple of the median is not used."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PosedDepth:
    """A few depth images of a scan, and its poses as they were written."""

    depth: tuple[NDArray[np.uint16], ...]  # n of (H, W), sensor units, 0 or 65535 invalid
    places: NDArray[np.intp]  # (n,) of these frames among all
    written: NDArray[np.float64]  # (M, 4, 4) of all frames of the scan, NaN where a pose cannot be used
    pairs: tuple[tuple[int, int], ...]  # positions in ``depth``
    camera: Intrinsics  # of the depth images
    depth_to_camera: NDArray[np.float64]  # (4, 4) to the camera that the poses are of


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One way to read a scan."""

    convention: PoseConvention = OURS
    units_per_metre: float = 1000.0  # of depth
    pose_shift: int = 0  # frames after a frame with which its pose is stored
    focal: float = 1.0  # factor on the focal lengths
    resolution: float = 1.0  # factor on focal lengths and principal point


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The agreement of the pairs under a reading."""

    misalignment: float = APART  # metres, median over the pairs
    relative: float = APART  # the same scaled to a median depth of USUAL_DEPTH, so that small rooms do not agree better
    mean: float = APART  # metres: smoother, for searching
    overlap: float = 0.0  # median over the pairs
    pairs: int = 0

    @property
    def worst(self) -> float:
        """The figure that readings are judged by, so that no room looks better because of its size."""
        return max(self.misalignment, self.relative)


NOTHING_SHARED = Score()


@dataclass(slots=True, kw_only=True, eq=False)
class Trials:
    """Readings of the same frames and their scores; what the readings share is computed once."""

    frames: PosedDepth
    median_depth: float = field(init=False)  # of the valid depth, sensor units; 0 without valid depth
    _surfaces: dict[tuple[float, float, float, bool], list[Surface]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        thinned = (image[::THINNED, ::THINNED] for image in self.frames.depth)
        values = [float(np.median(valid)) for image in thinned if len(valid := image[_valid(image)])]
        self.median_depth = float(np.median(values)) if values else 0.0

    def plausible(self, units_per_metre: float) -> bool:
        """Return whether depth in these units is that of a room."""
        return INDOORS[0] <= self.median_depth / units_per_metre <= INDOORS[1]

    def spacing(self, convention: PoseConvention) -> float:
        """Return the median distance of the cameras of a pair, in units of the poses."""
        poses = self._poses(Reading(convention=convention))
        steps = [np.linalg.norm((np.linalg.inv(poses[b]) @ poses[a])[:3, 3]) for a, b in self._posed(poses)]
        return float(np.median(steps)) if steps else 0.0

    def score(self, reading: Reading | None, *, thin: bool = False, pairs: int | None = None) -> Score:
        """Compare the pairs under a reading.

        Args:
            reading: ``None`` for cameras that all stand in one place.
            thin: with a quarter of the samples.
            pairs: the most pairs to compare, evenly spread; ``None`` for all.
        """
        chosen = reading or Reading(units_per_metre=max(self.median_depth, 1e-6) / USUAL_DEPTH)
        poses = self._poses(chosen)
        if reading is None:
            poses = np.broadcast_to(np.eye(4), poses.shape)
        depth = max(self.median_depth, 1e-6) / chosen.units_per_metre
        factor = 1.0 if self.plausible(chosen.units_per_metre) else USUAL_DEPTH / depth
        poses = poses.copy()
        poses[:, :3, 3] *= factor
        surfaces = self._sampled(chosen.units_per_metre / factor, chosen, thin)
        compared = self._few(self._posed(poses), pairs)
        figures = np.array([self._compare(surfaces, poses, pair) for pair in compared]).reshape(-1, 2)
        if not len(figures):
            return NOTHING_SHARED
        middle, overlap = np.median(figures, axis=0)
        return Score(
            misalignment=float(middle) / factor if middle < APART else APART,
            relative=min(float(middle) * USUAL_DEPTH / (depth * factor), APART) if middle < APART else APART,
            mean=float(figures[:, 0].mean()),
            overlap=float(overlap),
            pairs=len(figures),
        )

    def stretched(self, reading: Reading, start: float, *, rounds: int, pairs: int) -> float:
        """Return the factor on the translations with which the pairs agree best, by rounds of linear least squares.

        Args:
            reading: the reading with the translations that are stretched.
            start: the first factor, positive.
            rounds: of least squares; each at most doubles or halves the factor.
            pairs: the most pairs to use.
        """
        poses, factor = self._poses(reading), start
        surfaces = self._sampled(reading.units_per_metre, reading, True)
        steps = {}
        for first, second in self._few(self._posed(poses), pairs):
            steps[first, second] = np.linalg.inv(poses[second]) @ poses[first]
        for _ in range(rounds):
            above, below = 0.0, 1e-12
            for (first, second), step in steps.items():
                moved = step.copy()
                moved[:3, 3] *= factor
                length = float(np.linalg.norm(step[:3, 3]))
                gain, weight = stretch_terms(surfaces[first], surfaces[second], moved)
                above, below = above + gain * length, below + weight * length**2
            factor = float(np.clip(factor + above / below, factor / 2, factor * 2))
        return factor

    def seen_by_both(
        self, reading: Reading, first: int, second: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return points on surfaces that two depth images see, (n, 3) metres in the depth camera of each."""
        surfaces, poses = self._sampled(reading.units_per_metre, reading, False), self._poses(reading)
        to_second = np.linalg.inv(poses[second]) @ poses[first]
        near = surface_distances(surfaces[first], surfaces[second], to_second) < SAME_SURFACE
        points = surfaces[first].points[:, near].T.astype(np.float64)
        return points, transform(to_second, points)

    def _few(self, compared: list[tuple[int, int]], count: int | None) -> list[tuple[int, int]]:
        if count is None or len(compared) <= count:
            return compared
        return [compared[index] for index in np.linspace(0, len(compared) - 1, count).round().astype(int)]

    def _compare(
        self, surfaces: list[Surface], poses: NDArray[np.float64], pair: tuple[int, int]
    ) -> tuple[float, float]:
        first, second = surfaces[pair[0]], surfaces[pair[1]]
        found = compare_surfaces(first, second, np.linalg.inv(poses[pair[1]]) @ poses[pair[0]])
        visible = found.overlap * (first.points.shape[1] + second.points.shape[1])
        if found.overlap < MIN_OVERLAP or visible < MIN_SAMPLES or found.free_space > MAX_FREE_SPACE:
            return APART, found.overlap
        return min(found.misalignment, APART), found.overlap

    def _posed(self, poses: NDArray[np.float64]) -> list[tuple[int, int]]:
        usable = np.asarray(np.isfinite(poses).reshape(len(poses), -1).all(axis=1))
        return [(first, second) for first, second in self.frames.pairs if usable[first] and usable[second]]

    def _poses(self, reading: Reading) -> NDArray[np.float64]:
        """Return camera_to_world of the depth cameras, (n, 4, 4), NaN where the scan has no pose."""
        places = self.frames.places + reading.pose_shift
        inside = np.asarray((places >= 0) & (places < len(self.frames.written)))
        poses = np.full((len(places), 4, 4), np.nan)
        poses[inside] = reading.convention.camera_to_world(self.frames.written[places[inside]])
        return poses @ self.frames.depth_to_camera

    def _sampled(self, units_per_metre: float, reading: Reading, thin: bool) -> list[Surface]:
        key = (units_per_metre, reading.focal, reading.resolution, thin)
        if key not in self._surfaces:
            camera = changed_camera(self.frames.camera, reading)
            step = max(1, round(camera.width / COMPARED_WIDTH))
            small = Intrinsics(
                fx=camera.fx / step,
                fy=camera.fy / step,
                cx=camera.cx / step,
                cy=camera.cy / step,
                width=-(-camera.width // step),
                height=-(-camera.height // step),
            )
            farthest = FAR_RATIO * self.median_depth
            self._surfaces[key] = [
                _surface(image[::step, ::step], units_per_metre, farthest, small, thin) for image in self.frames.depth
            ]
        return self._surfaces[key]


def changed_camera(camera: Intrinsics, reading: Reading) -> Intrinsics:
    """Return the camera of the same image under a reading."""
    factor = reading.resolution
    return replace(
        camera,
        fx=camera.fx * factor * reading.focal,
        fy=camera.fy * factor * reading.focal,
        cx=(camera.cx + 0.5) * factor - 0.5,
        cy=(camera.cy + 0.5) * factor - 0.5,
    )


def near_pairs(
    written: NDArray[np.float64], frame_ids: NDArray[np.intp], *, anchors: int, reach: int, degrees: tuple[float, ...]
) -> tuple[NDArray[np.intp], tuple[tuple[int, int], ...]]:
    """Return frames spread over a scan, each with partners that follow it soon and look elsewhere.

    Args:
        written: (M, 4, 4) poses, NaN where one cannot be used.
        frame_ids: (M,) raw indices, ascending.
        anchors: how many frames get partners.
        reach: raw frames within which a partner lies, if any frame does.
        degrees: angles; for each the partner is the first frame that is turned by this angle, or the last in reach.

    Returns:
        Places of the frames among ``written``, ascending, and the pairs as positions among these.
    """
    usable = np.flatnonzero(np.isfinite(written).all(axis=(1, 2)))
    found: set[tuple[int, int]] = set()
    spread = np.linspace(0, max(len(usable) - 1, 0), anchors + 1)[:-1].round().astype(np.intp)
    for place in usable[np.unique(spread)[: len(usable)]]:
        later = usable[usable > place]
        if not len(later):
            continue
        within = later[frame_ids[later] - frame_ids[place] <= reach]
        within = within if len(within) else later[:1]
        traces = np.einsum("ij,nij->n", written[place, :3, :3], written[within, :3, :3])
        turned = np.degrees(np.arccos(np.clip((traces - 1) / 2, -1, 1)))
        for angle in degrees:
            beyond = np.flatnonzero(turned >= angle)
            found.add((int(place), int(within[beyond[0] if len(beyond) else -1])))
    places = np.unique(np.array(sorted(found), dtype=np.intp).reshape(-1))
    at = {int(place): position for position, place in enumerate(places)}
    return places, tuple((at[first], at[second]) for first, second in sorted(found))


def _valid(image: NDArray[np.uint16]) -> NDArray[np.bool_]:
    return (image > 0) & (image < NO_READING)


def _surface(
    image: NDArray[np.uint16], units_per_metre: float, farthest: float, camera: Intrinsics, thin: bool
) -> Surface:
    used = _valid(image) & (image <= farthest)
    millimetres = np.minimum(image * np.float32(1000 / units_per_metre), NO_READING) * used
    surface = sample_surface(millimetres.astype(np.uint16), camera)
    if not thin:
        return surface
    return Surface(
        depth=surface.depth,
        camera=camera,
        points=np.ascontiguousarray(surface.points[:, ::THINNED]),
        normals=np.ascontiguousarray(surface.normals[:, ::THINNED]),
    )
