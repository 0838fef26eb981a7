"""The proposals of an imagined instance segmentation network: the true instances with typical faults.

Most objects are found with ragged borders; some are missed, split in two, merged with their neighbour or found twice,
and some proposals do not show an object. Walls, floors and ceilings are not instances.
"""

from __future__ import annotations

import io
import zipfile

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from gapdata.geometry.camera import transform
from gapdata.synthetic.scene import RELEASES, Scene, generator

KEPT = 50
"""Proposals per scene that consumers read."""
NOT_INSTANCES = frozenset({"wall", "floor", "ceiling", "doorframe"})
MISSED, SPLIT, MERGED, TWICE = 0.07, 0.06, 0.04, 0.05  # chances of each fault
Mask = NDArray[np.bool_]


def propose(scene: Scene) -> NDArray[np.bool_]:
    """Return masks (N, V) over the vertices of the scene's mesh, the most confident first."""
    rng = generator(scene.seed, scene.index, RELEASES, 1)
    vertices = scene.mesh.vertices
    owner = scene.vertex_object
    objects = [k for k, label in enumerate(scene.labels) if label not in NOT_INSTANCES]
    centers = np.array([vertices[owner == k].mean(axis=0) for k in objects]).reshape(-1, 3)
    masks: list[tuple[float, Mask]] = []
    for position, k in enumerate(objects):
        own = owner == k
        draw = float(rng.random())
        size = int(own.sum())
        missed = MISSED if size > 150 else 3 * MISSED
        if draw < missed:
            continue
        if draw < missed + SPLIT:
            masks += [(float(rng.uniform(0.2, 0.7)), part) for part in _halves(vertices, own, rng)]
            continue
        if draw < missed + SPLIT + MERGED and len(objects) > 1:
            away = np.linalg.norm(centers - centers[position], axis=1)
            away[position] = np.inf
            other = owner == objects[int(np.argmin(away))]
            masks.append((float(rng.uniform(0.3, 0.8)), _ragged(vertices, own | other, rng)))
            continue
        masks.append((float(rng.uniform(0.5, 1.0)), _ragged(vertices, own, rng)))
        if rng.random() < TWICE:
            masks.append((float(rng.uniform(0.1, 0.5)), _ragged(vertices, own, rng)))
    for _ in range(int(rng.integers(1, 5))):
        masks.append((float(rng.uniform(0.0, 0.5)), _ball(vertices, rng, float(rng.uniform(0.2, 0.5)))))
    found = [mask for _, mask in sorted(masks, key=lambda pair: -pair[0]) if mask.any()]
    return np.stack(found) if found else np.zeros((0, len(vertices)), dtype=bool)


def _ragged(vertices: NDArray[np.float64], own: Mask, rng: Generator) -> Mask:
    """Take a bite or two from the rim of a mask and add a little of its surroundings."""
    low, high = vertices[own].min(axis=0), vertices[own].max(axis=0)
    reach = 0.10 * float(np.linalg.norm(high - low))
    mask = own & (rng.random(len(own)) > 0.02)
    for _ in range(int(rng.integers(0, 3))):
        middle = vertices[rng.choice(np.flatnonzero(own))]
        mask[((vertices - middle) ** 2).sum(axis=1) < (reach * rng.uniform(0.5, 1.2)) ** 2] = False
    middle = vertices[rng.choice(np.flatnonzero(own))]
    mask[((vertices - middle) ** 2).sum(axis=1) < min(0.08, reach * 0.6) ** 2] = True
    return mask


def _halves(vertices: NDArray[np.float64], own: Mask, rng: Generator) -> list[Mask]:
    """Cut a mask across its longest side."""
    low, high = vertices[own].min(axis=0), vertices[own].max(axis=0)
    axis = int(np.argmax(high - low))
    level = low[axis] + rng.uniform(0.35, 0.65) * (high[axis] - low[axis])
    return [part for part in (own & (vertices[:, axis] < level), own & (vertices[:, axis] >= level)) if part.any()]


def _ball(vertices: NDArray[np.float64], rng: Generator, radius: float) -> Mask:
    """Return the vertices in a ball about a random vertex."""
    middle = vertices[int(rng.integers(len(vertices)))]
    return np.asarray(((vertices - middle) ** 2).sum(axis=1) < radius**2)


def boxes(scene: Scene, masks: NDArray[np.bool_]) -> list[list[float]]:
    """Return the axis-aligned boxes [cx, cy, cz, dx, dy, dz] of the first 50 masks, aligned world, metres."""
    vertices = transform(scene.axis_alignment, scene.mesh.vertices.astype(np.float32).astype(np.float64))
    corners = [(vertices[mask].min(axis=0), vertices[mask].max(axis=0)) for mask in masks[:KEPT]]
    return [[*((low + high) / 2).tolist(), *(high - low).tolist()] for low, high in corners]


def mask_archive(masks: NDArray[np.bool_], form: str) -> bytes:
    """Return the masks as ``scipy.sparse.save_npz`` lays a matrix out, ``form`` being ``"csr"`` or ``"csc"``.

    Members ``indices`` and ``indptr`` (int32), ``format`` (bytes), ``shape`` (int64) and ``data`` (float64).
    """
    lines = masks if form == "csr" else masks.T
    _, indices = np.nonzero(lines)
    members = {
        "indices": indices.astype(np.int32),
        "indptr": np.concatenate([[0], np.cumsum(lines.sum(axis=1))]).astype(np.int32),
        "format": np.array(form.encode("ascii")),
        "shape": np.array(masks.shape, dtype=np.int64),
        "data": np.ones(len(indices), dtype=np.float64),
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in members.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, member.getvalue(), compresslevel=1)
    return file.getvalue()
