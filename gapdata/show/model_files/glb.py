"""An exhibit as a binary glTF: the cloud as points, the pieces around it as meshes, for any glTF viewer.

Vertices are metres in the exhibit's own frame of reference; one node above all of them turns that upright, since glTF
has y up. Materials are unlit (``KHR_materials_unlit``), so colours are those of the frames in every viewer.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.files.atomic import write_atomically
from gapdata.show.model_files.solids import solid_of
from gapdata.show.scene.coloring import point_colors
from gapdata.show.scene.exhibit import Exhibit
from gapdata.show.scene.pieces import exhibit_pieces

ROOM_TO_GLTF = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
"""A room has z up, glTF y up."""
ROOT = "room"


def save_glb(exhibit: Exhibit, path: str | PathLike[str], mode: str = "rgb") -> int:
    """Write an exhibit; nodes are named ``cloud`` and ``<group>/<piece>``.

    Returns:
        The number of points.

    Raises:
        OSError: the file cannot be written.
    """
    import trimesh

    scene = trimesh.Scene(base_frame="world")
    scene.metadata.update(
        {"key": exhibit.title, "reference": exhibit.reference, "colors": mode, "notes": list(exhibit.notes)}
    )
    scene.graph.update(frame_from="world", frame_to=ROOT, matrix=ROOM_TO_GLTF @ exhibit.shown_to_room)
    colors = point_colors(exhibit.cloud, mode, exhibit.frame_values)
    if len(exhibit.cloud):
        points = trimesh.PointCloud(exhibit.cloud.points, colors=_linear(colors))
        scene.add_geometry(points, node_name="cloud", geom_name="cloud", parent_node_name=ROOT)
    axes, scale = _facing(exhibit.shown_to_room[:3, :3], exhibit.forward), exhibit.extent
    for group, pieces in exhibit_pieces(exhibit).items():
        for name, piece in pieces.items():
            mesh, full = solid_of(piece, axes, scale), f"{group}/{name}"
            mesh.visual.vertex_colors = _linear(np.asarray(mesh.visual.vertex_colors)[:, :3])
            scene.add_geometry(mesh, node_name=full, geom_name=full, parent_node_name=ROOT)
    data = trimesh.exchange.gltf.export_glb(scene, tree_postprocessor=_unlit)
    write_atomically(Path(path), data)
    return len(exhibit.cloud)


def _facing(room: NDArray[np.float64], forward: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows right, forward and up in the shown frame: up is the room's, forward the exhibit's, made level."""
    level = np.array([forward[0], forward[1], 0.0])
    level = level / np.linalg.norm(level) if np.linalg.norm(level) > 1e-3 else np.array([0.0, 1.0, 0.0])
    right = np.array([level[1], -level[0], 0.0])
    return np.stack([right, level, [0.0, 0.0, 1.0]]) @ room


def _linear(colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn sRGB (N, 3) into linear RGBA (N, 4), as glTF wants the colours of vertices (IEC 61966-2-1)."""
    share = np.arange(256) / 255.0
    table = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    linear = np.rint(255 * table).astype(np.uint8)[colors]
    return np.concatenate([linear, np.full((len(colors), 1), 255, dtype=np.uint8)], axis=1)


def _unlit(tree: dict[str, Any]) -> None:
    """Give every mesh and point one material without light, to be seen from both sides."""
    tree["materials"] = [
        {
            "name": "unlit",
            "doubleSided": True,
            "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0},
            "extensions": {"KHR_materials_unlit": {}},
        }
    ]
    tree["extensionsUsed"] = sorted({*tree.get("extensionsUsed", ()), "KHR_materials_unlit"})
    for mesh in tree.get("meshes", ()):
        for primitive in mesh["primitives"]:
            primitive["material"] = 0
