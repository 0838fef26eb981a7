"""The facts of one scene that the release files hold: small, gathered beside its rendering, sent to the parent."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.boxes import OrientedBox, rotation_from_euler
from gapdata.geometry.camera import Intrinsics, transform
from gapdata.synthetic.releases.proposals import boxes, mask_archive, propose
from gapdata.synthetic.releases.referrals import Referral, name_anchors, refer
from gapdata.synthetic.releases.relations import Room
from gapdata.synthetic.releases.sightings import Sighting, Sightings
from gapdata.synthetic.releases.things import Thing, scene_things
from gapdata.synthetic.releases.wording import describe
from gapdata.synthetic.scene import RELEASES, Scene, generator


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One sentence about one object."""

    object_id: int
    ann_id: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneFacts:
    """One scene. Boxes and positions are in the aligned world, metres."""

    scene_id: str
    seed: int
    index: int
    axis_alignment: NDArray[np.float64]  # (4, 4) unaligned to aligned world
    color_camera: Intrinsics
    depth_camera: Intrinsics
    frames: tuple[Sighting, ...]
    things: tuple[Thing, ...]
    instance_order: tuple[int, ...]  # object ids in the order of EmbodiedScan's instances
    annotated_boxes: NDArray[np.float64]  # (O, 2, 3) lower and upper corner by the released annotation: ScanRefer's
    descriptions: tuple[Sentence, ...]
    proposals: list[list[float]]  # (N <= 50, 6) centre and size

    def rng(self, purpose: int) -> np.random.Generator:
        """Return the random stream of a file that is assembled later."""
        return generator(self.seed, self.index, RELEASES, 3, purpose)

    def box(self, object_id: int) -> OrientedBox:
        """Return EmbodiedScan's box of an object: along the object's own axes."""
        thing = self.things[object_id]
        rotation = rotation_from_euler([thing.yaw, 0.0, 0.0], "intrinsic_zxy")
        return OrientedBox(center=thing.center, size=thing.size, rotation=rotation)


def describe_scene(scene: Scene, things: tuple[Thing, ...]) -> list[tuple[Referral, Sentence]]:
    """Return all descriptions of a scene's objects with the references that they word."""
    room = Room(things=things, corners=scene.plan.corners)
    anchors = name_anchors(room)
    found = []
    for target in range(len(things)):
        rng = generator(scene.seed, scene.index, RELEASES, 2, target)
        said: set[str] = set()
        for referral in refer(room, target, anchors, rng):
            text = describe(referral, rng)
            if text not in said:
                found.append((referral, Sentence(object_id=target, ann_id=len(said), text=text)))
                said.add(text)
    return found


def gather_facts(
    scene: Scene, sightings: Sightings, segments: NDArray[np.int64], aggregation: bytes, depth_camera: Intrinsics
) -> tuple[SceneFacts, bytes]:
    """Return a scene's facts, and the bytes of its ``.mask.npz``.

    Args:
        scene: the scene.
        sightings: of its annotated frames.
        segments: of the mesh (``annotation_files``).
        aggregation: the released annotation of these segments.
        depth_camera: of the scan.
    """
    things = scene_things(scene)
    masks = propose(scene)
    order = generator(scene.seed, scene.index, RELEASES, 4).permutation(len(things))
    facts = SceneFacts(
        scene_id=scene.scene_id,
        seed=scene.seed,
        index=scene.index,
        axis_alignment=scene.axis_alignment,
        color_camera=sightings.camera,
        depth_camera=depth_camera,
        frames=tuple(sightings.frames),
        things=things,
        instance_order=tuple(int(k) for k in order),
        annotated_boxes=_annotated_boxes(scene, segments, aggregation),
        descriptions=tuple(description for _, description in describe_scene(scene, things)),
        proposals=boxes(scene, masks),
    )
    # Both layouts of a sparse matrix are in use: even scenes take one, odd ones the other.
    return facts, mask_archive(masks, "csc" if scene.index % 2 else "csr")


def _annotated_boxes(scene: Scene, segments: NDArray[np.int64], aggregation: bytes) -> NDArray[np.float64]:
    """Return axis-aligned boxes of the vertices that the aggregation gives to an object: a few are missed there."""
    vertices = transform(scene.axis_alignment, scene.mesh.vertices)
    result = np.zeros((len(scene.labels), 2, 3))
    for group in json.loads(aggregation)["segGroups"]:
        points = vertices[np.isin(segments, group["segments"])]
        result[group["objectId"]] = points.min(axis=0), points.max(axis=0)
    return result
