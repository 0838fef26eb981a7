"""The fused cloud as a binary PLY that MeshLab, CloudCompare, Blender, Open3D and trimesh open."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np

from gapdata.atomic import atomic_file
from gapdata.records.schema import Record
from gapdata.view.cloud import fuse

VERTEX = np.dtype(
    [
        *((name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")),
        *((name, "u1") for name in ("red", "green", "blue")),
        ("frame", "<i4"),  # Open3D reads no 16-bit properties
        ("instance", "<i4"),
    ]
)
_PLY_TYPES = {"<f4": "float", "|u1": "uchar", "<i4": "int"}


def save_ply(
    record: Record, path: str | PathLike[str], *, max_points: int | None = None, voxel: float | None = None
) -> int:
    """Write every valid pixel of a record as a point in metres, camera of the first frame (x right, y down, z forward).

    A vertex carries position, normal (towards the camera that saw it), colour, ``frame`` (position within the view) and
    ``instance`` (object id + 1, 0 where none). Nothing is left out unless ``max_points`` or ``voxel`` (metres) thin it.

    Returns:
        the number of points.

    Raises:
        ShardError: a member is missing or damaged.
        OSError: the file cannot be written.
    """
    cloud = fuse(record, max_points=max_points, voxel=voxel)
    vertices = np.empty(len(cloud), dtype=VERTEX)
    for column, name in enumerate(("x", "y", "z")):
        vertices[name] = cloud.points[:, column]
        vertices[f"n{name}"] = cloud.normals[:, column]
    for column, name in enumerate(("red", "green", "blue")):
        vertices[name] = cloud.colors[:, column]
    vertices["frame"], vertices["instance"] = cloud.frames, cloud.instances
    properties = [f"property {_PLY_TYPES[VERTEX[name].str]} {name}" for name in VERTEX.names or ()]
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"comment {record.key.encode('ascii', 'replace').decode()}: metres, camera of frame {record.frame_ids[0]}",
        f"element vertex {len(vertices)}",
        *properties,
        "end_header\n",
    ]
    with atomic_file(Path(path)) as file:
        file.write("\n".join(header).encode("ascii"))
        file.write(vertices.tobytes())
    return len(vertices)
