"""The path of a hand-held camera through a room: where the scanning person walks, and what the camera looks at.

The walk keeps clear of walls and furniture on a map of the free floor; the gaze sweeps the furniture slowly enough that
frames one second apart still share much of what they see. Of several walks a scan takes the one that shows most of the
room and bumps into nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.synthetic.placement import Claim
from gapdata.synthetic.render import camera_rays, cast, object_ids
from gapdata.synthetic.room import FloorPlan
from gapdata.synthetic.scene import PATH, Scene, generator

RATE = 30.0  # frames per second
CELL = 0.06  # m, of the free-floor map
CLEARANCES = (0.34, 0.27, 0.20, 0.13)  # m from anything, the widest that leaves room to walk
SWEEP = 62.0  # degrees to either side of the middle of the room
TURN = 27.0  # degrees per second
FLOOR_HEIGHT = 0.06  # m up to which a person steps over things
CANDIDATES = 16  # walks
GLANCES = 7  # frames of a candidate that are looked at
SPAN = 240  # frames, over which a candidate is judged at most
PROBE = Intrinsics(fx=29.25, fy=29.25, cx=15.7, cy=11.6, width=32, height=24)
TOO_NEAR = 0.95  # m
SAFE_DISTANCE = 0.14  # m from any surface that a camera keeps
STRUCTURE = frozenset({"wall", "floor", "ceiling"})


def scan_poses(scene: Scene, frames: int) -> NDArray[np.float64]:
    """Return the camera-to-world matrices of a scan, (N, 4, 4), in the unaligned world.

    Their values are the float32 numbers that a ``.sens`` file stores.
    """
    floor = free_floor(scene.plan, scene.claims)
    to_world = np.linalg.inv(scene.axis_alignment)
    best, best_score = np.empty(0), -np.inf
    for candidate in range(CANDIDATES):
        room = walk(scene.plan, scene.claims, floor, frames, generator(scene.seed, scene.index, PATH, candidate))
        poses = (to_world @ room).astype(np.float32).astype(np.float64)
        score = _score(scene, poses)
        if score > best_score:
            best, best_score = poses, score
    return best


def clearance(scene: Scene, positions: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the distance (N,) in metres of points (N, 3) to the nearest surface."""
    import open3d as o3d

    query = o3d.core.Tensor(positions.astype(np.float32))
    distances: NDArray[np.float32] = scene.raycaster.compute_distance(query, nthreads=1).numpy()
    return distances


def _score(scene: Scene, poses: NDArray[np.float64]) -> float:
    """Sum over glances the objects and the furniture in view; near things and bare walls count against it."""
    span = min(len(poses), SPAN)
    glances = np.linspace(0, span - 1, GLANCES).round().astype(int)
    rays = np.concatenate([camera_rays(PROBE, poses[k]).reshape(-1, 6) for k in glances])
    hits = cast(scene, rays)
    structure = np.array([label in STRUCTURE for label in scene.labels] + [False])
    ids, depth = (a.reshape(GLANCES, -1) for a in (object_ids(scene, hits), hits.distance))
    score, seen = 0.0, set()
    for view, distance in zip(ids, depth, strict=True):
        objects, counts = np.unique(view[~structure[view]], return_counts=True)
        seen |= {int(o) for o in objects[counts >= 4]}
        score += 14 * float((~structure[view]).mean()) + 0.8 * float((counts >= 4).sum())
        score -= 55 * float((distance < TOO_NEAR).mean())
    closest = float(clearance(scene, poses[:: max(1, len(poses) // 400), :3, 3]).min())
    return score + 1.5 * len(seen) - 1000 * max(0.0, SAFE_DISTANCE - closest)


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeFloor:
    """The floor on which a person can stand: ``open`` cells of a map; ``origin`` is the centre of cell (0, 0)."""

    open: NDArray[np.bool_]  # (rows = y, columns = x), one connected region
    origin: NDArray[np.float64]  # (2,)

    def position(self, cells: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return the centres (N, 2) of cells (N, 2) given as (row, column)."""
        return self.origin + np.asarray(cells)[..., ::-1] * CELL


def free_floor(plan: FloorPlan, claims: Sequence[Claim]) -> FreeFloor:
    """Return the largest region that keeps its distance from walls and from all that stands below head height."""
    import cv2

    low, high = plan.bounds
    x, y = np.meshgrid(np.arange(low[0], high[0], CELL), np.arange(low[1], high[1], CELL))
    points = np.stack([x, y], axis=-1)
    empty = plan.inside(points)
    for claim in claims:
        if claim.z[1] < FLOOR_HEIGHT or claim.z[0] > 1.9:
            continue
        local = np.abs((points - claim.center) @ claim.axes.T)
        empty &= ~(local < claim.half + CELL / 2).all(axis=-1)
    framed = np.pad(empty, 1).astype(np.uint8)
    distance = cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1] * CELL
    for reach in CLEARANCES:
        clear = (distance > reach).astype(np.uint8)
        count, region, stats, _ = cv2.connectedComponentsWithStats(clear, connectivity=4)
        if count > 1 and stats[1:, cv2.CC_STAT_AREA].max() * CELL**2 > 0.5:
            break
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])) if count > 1 else 0
    cells = region == largest if count > 1 else distance == distance.max()
    return FreeFloor(open=cells, origin=low)


def walk(
    plan: FloorPlan, claims: Sequence[Claim], floor: FreeFloor, frames: int, rng: Generator
) -> NDArray[np.float64]:
    """Return the camera poses of one walk, (N, 4, 4) camera to room frame."""
    time = np.arange(frames) / RATE
    ground = _ground_track(floor, plan, frames, rng)
    position = np.concatenate([ground, np.zeros((frames, 1))], axis=1)
    position[:, 2] = rng.uniform(1.42, 1.62) + 0.06 * _wander(rng, frames, 2.0) + 0.010 * np.sin(2 * np.pi * 1.8 * time)
    position += 0.003 * np.stack([_wander(rng, frames, 0.12) for _ in range(3)], axis=1)
    yaw = _gaze(plan, claims, position, frames, rng) + 0.5 * _wander(rng, frames, 0.2)
    pitch = -19 + 6 * _wander(rng, frames, 1.6) + 0.4 * _wander(rng, frames, 0.15)
    roll = 1.2 * _wander(rng, frames, 1.0) + 0.3 * _wander(rng, frames, 0.15)
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, :3, :3] = rotations(np.radians(yaw), np.radians(np.clip(pitch, -38, 6)), np.radians(roll))
    poses[:, :3, 3] = position
    return poses


def rotations(yaw: NDArray[np.float64], pitch: NDArray[np.float64], roll: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return camera-to-room rotations, (N, 3, 3).

    Args:
        yaw: about z from +x, radians.
        pitch: upward, radians.
        roll: about the view, radians.
    """
    zero = np.zeros_like(yaw)
    forward = np.stack([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)], axis=-1)
    right = np.stack([np.sin(yaw), -np.cos(yaw), zero], axis=-1)
    down = np.cross(forward, right)
    c, s = np.cos(roll)[:, None], np.sin(roll)[:, None]
    return np.stack([c * right + s * down, -s * right + c * down, forward], axis=-1)


def _wander(rng: Generator, count: int, seconds: float) -> NDArray[np.float64]:
    """Return smooth noise of unit size that varies over ``seconds``; its start does not depend on ``count``."""
    knots = rng.standard_normal(int(np.ceil(count / RATE / seconds)) + 4)
    place = np.arange(count) / RATE / seconds + 1
    k = place.astype(int)
    f = place - k
    a, b, c, d = knots[k - 1], knots[k], knots[k + 1], knots[k + 2]
    # Uniform cubic B-spline: smooth to the second derivative, as a hand is.
    return np.asarray(
        ((1 - f) ** 3 * a + (3 * f**3 - 6 * f**2 + 4) * b + (-3 * f**3 + 3 * f**2 + 3 * f + 1) * c + f**3 * d) / 4
    )


def _blurred(values: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Smooth along the first axis with a Gaussian and repeated ends; ``sigma`` is in samples."""
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel, mode="valid") for column in padded.T], axis=1)


def _ground_track(floor: FreeFloor, plan: FloorPlan, frames: int, rng: Generator) -> NDArray[np.float64]:
    """Return positions (N, 2) at walking pace, from the outskirts of the free floor across the room and on."""
    cells = np.argwhere(floor.open)
    where = floor.position(cells)
    middle = plan.corners.mean(axis=0)
    outskirts = np.argsort(np.linalg.norm(where - middle, axis=1))[-max(1, len(cells) // 6) :]
    current = cells[int(rng.choice(outskirts))]
    pace = 0.36 + 0.06 * _wander(rng, frames, 1.5)
    distance = np.concatenate([[0.0], np.cumsum(np.clip(pace, 0.25, 0.5)[:-1]) / RATE])
    track = [floor.position(current[None])]
    length = 0.0
    while length < distance[-1] + 0.5:
        goal = cells[int(rng.integers(len(cells)))]
        route = _route(floor.open, (int(current[0]), int(current[1])), (int(goal[0]), int(goal[1])))
        if len(route) < 2:
            track.append(track[-1][-1:] + np.array([[0.0, 1e-3]]))
            length += 0.1
            continue
        points = floor.position(np.array(route[1:]))
        track.append(points)
        length += float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum()) + CELL
        current = goal
    line = np.concatenate(track)
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    along = np.stack([np.interp(distance, arc, line[:, k]) for k in range(2)], axis=1)
    return _blurred(along, 14.0)


def _route(passable: NDArray[np.bool_], start: tuple[int, int], goal: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the shortest way over open cells, 8-connected (A*)."""
    best = {start: 0.0}
    before: dict[tuple[int, int], tuple[int, int]] = {}
    queue = [(0.0, start)]
    steps = [(i, j, float(np.hypot(i, j))) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
    rows, columns = passable.shape
    while queue:
        _, cell = heapq.heappop(queue)
        if cell == goal:
            route = [cell]
            while cell in before:
                cell = before[cell]
                route.append(cell)
            return route[::-1]
        for i, j, cost in steps:
            to = (cell[0] + i, cell[1] + j)
            if not (0 <= to[0] < rows and 0 <= to[1] < columns and passable[to]):
                continue
            total = best[cell] + cost
            if total < best.get(to, np.inf):
                best[to], before[to] = total, cell
                heapq.heappush(queue, (total + float(np.hypot(goal[0] - to[0], goal[1] - to[1])), to))
    return [start]


def _gaze(
    plan: FloorPlan, claims: Sequence[Claim], position: NDArray[np.float64], frames: int, rng: Generator
) -> NDArray[np.float64]:
    """Return yaw (N,) in degrees: to and fro about the direction of the furniture, at a bounded rate."""
    weight = np.array([4 * c.half[0] * c.half[1] if c.z[0] < 1.2 < 2.5 and c.z[1] > 0.2 else 0.0 for c in claims])
    centre = plan.corners.mean(axis=0)
    if weight.sum() > 0:
        centre = 0.5 * centre + 0.5 * (weight @ np.array([c.center for c in claims])) / weight.sum()
    bearing = np.degrees(np.unwrap(np.arctan2(*(centre - position[:, :2]).T[::-1])))
    sign = 1.0 if rng.random() < 0.5 else -1.0
    phase = np.arange(frames) / RATE * TURN / (2 * SWEEP)
    # A triangle wave from one side of the room to the other and back.
    sweep = SWEEP * (4 * np.abs((phase / 2) % 1 - 0.5) - 1) * sign
    yaw = bearing + sweep
    limit = (TURN + 7) / RATE
    for k in range(1, frames):
        yaw[k] = yaw[k - 1] + np.clip(yaw[k] - yaw[k - 1], -limit, limit)
    return _blurred(yaw[:, None], 5.0)[:, 0]
