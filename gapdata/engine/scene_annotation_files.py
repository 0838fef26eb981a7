"""Each scene's part of the annotation files, which the driver hands to the workers: ``annotations/<scene>.json``.

With it a worker does not need the annotation files themselves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from gapdata.annotations.scene_annotations import SceneAnnotations
from gapdata.engine.plan import Plan, ScenePlan
from gapdata.errors import SourceChanged, StoreError
from gapdata.files.atomic import write_atomically
from gapdata.files.storage import Location
from gapdata.runtime.stopping import HOW_TO_RESUME

ANNOTATIONS_FOLDER = "annotations"


def write_scene_annotations(build: Location, plan: Plan, annotations: Mapping[str, SceneAnnotations]) -> None:
    """Write the part of every planned scene, unless it is there already."""
    folder = build / ANNOTATIONS_FOLDER
    for scene in plan.scenes:
        if not scene.annotations:
            continue
        folder.mkdir(exist_ok=True)
        path = folder / f"{scene.scene_id}.json"
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != scene.annotations:
            write_atomically(path, annotations[scene.scene_id].to_json())


def read_scene_annotations(build: Location, scene: ScenePlan) -> SceneAnnotations:
    """Read the part of a scene; it is empty where no file mentions the scene.

    Raises:
        SourceChanged: it is not the part that the build was planned with.
        StoreError: it cannot be read.
    """
    if not scene.annotations:
        return SceneAnnotations(scene_id=scene.scene_id)
    path = build / ANNOTATIONS_FOLDER / f"{scene.scene_id}.json"
    try:
        data = path.read_bytes()
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}"
        raise StoreError(problem, path=path, scene=scene.scene_id, cure=HOW_TO_RESUME) from error
    if hashlib.sha256(data).hexdigest() != scene.annotations:
        raise SourceChanged(
            "is not the file that the build was planned with",
            path=path,
            scene=scene.scene_id,
            cure="run the same build-shards command again",
        )
    return SceneAnnotations.from_json(data)
