"""The fused cloud as a binary PLY that MeshLab, CloudCompare, Blender, Open3D and trimesh open."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np

from gapdata.files.atomic import atomic_file
from gapdata.show.scene.coloring import point_colors
from gapdata.show.scene.exhibit import Exhibit

VERTEX = np.dtype(
    [
        *((name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")),
        *((name, "u1") for name in ("red", "green", "blue")),
        ("frame", "<i4"),  # Open3D cannot read 16-bit properties
        ("instance", "<i4"),
    ]
)
_PLY_TYPES = {"<f4": "float", "|u1": "uchar", "<i4": "int"}


def save_ply(exhibit: Exhibit, path: str | PathLike[str], mode: str = "rgb") -> int:
    """Write an exhibit's cloud, in metres and in the exhibit's frame of reference, which a comment names.

    A vertex carries position, normal (towards the camera that saw it), the colour of the mode, ``frame`` (position
    within the view; of a whole scene the raw frame id) and ``instance`` (object id + 1, 0 where none).

    Returns:
        The number of points.

    Raises:
        OSError: the file cannot be written.
    """
    cloud = exhibit.cloud
    colors = point_colors(cloud, mode, exhibit.frame_values)
    vertices = np.empty(len(cloud), dtype=VERTEX)
    for column, name in enumerate(("x", "y", "z")):
        vertices[name] = cloud.points[:, column]
        vertices[f"n{name}"] = cloud.normals[:, column]
    for column, name in enumerate(("red", "green", "blue")):
        vertices[name] = colors[:, column]
    vertices["frame"], vertices["instance"] = cloud.frames, cloud.instances
    properties = [f"property {_PLY_TYPES[VERTEX[name].str]} {name}" for name in VERTEX.names or ()]
    comment = " ".join(f"{exhibit.title}: {exhibit.reference}; colours: {mode}".split())
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"comment {comment.encode('ascii', 'replace').decode()}",
        f"element vertex {len(vertices)}",
        *properties,
        "end_header\n",
    ]
    with atomic_file(Path(path)) as file:
        file.write("\n".join(header).encode("ascii"))
        file.write(vertices.tobytes())
    return len(vertices)
