"""Find the one intrinsics file of a folder of frames."""

from __future__ import annotations

from pathlib import Path

from gapdata.errors import SourceError
from gapdata.files.folders import by_lower_case, file_names

OF_REPLICA, REPLICAS_FRAMES = "cam_params.json", "results"
INTRINSICS_NAMES = (
    "intrinsics.json",
    "intrinsics.txt",
    "intrinsic.json",
    "intrinsic.txt",
    "camera.json",
    OF_REPLICA,
    "camera-intrinsics.txt",
    "camera_primesense.json",
    "camera_intrinsic.json",
)
INTRINSICS_CURE = 'write intrinsics.json: {"fx": ..., "fy": ..., "cx": ..., "cy": ..., "depth_scale": 1000}'


KNOWN_LACKS = {
    "traj_w_c.txt": "it is a render of Replica by Semantic-NeRF or vMAP, which differ in size, field of view and unit "
    "of depth, and do not write them down: state them in intrinsics.json",
    REPLICAS_FRAMES: "copy cam_params.json from the top of NICE-SLAM's Replica.zip into the folder or above it",
    "groundtruth.txt": "a sequence of TUM needs rgb.txt and depth.txt beside groundtruth.txt: unpack it again; "
    f"for other frames {INTRINSICS_CURE}",
}
"""What to do about a folder without intrinsics that has an entry of this name."""


def intrinsics_file(scene_id: str, directory: Path, root: Path) -> Path:
    """Return the intrinsics file in a scene's folder, or else in the folder that the user named.

    Replica's camera lies above its rooms, and is found there also if the user named one room.

    Raises:
        SourceError: there is none, or there are two.
    """
    found = find_intrinsics(scene_id, (directory, root))
    above = directory.parent / OF_REPLICA
    if found is None and (directory / REPLICAS_FRAMES).is_dir() and above.is_file():
        return above
    if found is None:
        known = next((cure for name, cure in KNOWN_LACKS.items() if (directory / name).exists()), INTRINSICS_CURE)
        raise SourceError("has no intrinsics file", path=directory, scene=scene_id, cure=known)
    return found


def find_intrinsics(scene_id: str, folders: tuple[Path, Path]) -> Path | None:
    """Return the intrinsics file in the first of some folders that has one.

    Raises:
        SourceError: a folder has two, or cannot be listed.
    """
    for folder in dict.fromkeys(folders):
        try:
            names = by_lower_case(file_names(folder))
        except OSError as error:
            raise SourceError(f"cannot be listed: {error.strerror}", path=folder, scene=scene_id) from error
        found = [folder / names[name] for name in INTRINSICS_NAMES if name in names]
        if len(found) > 1:
            problem = f"has both {found[0].name} and {found[1].name}"
            raise SourceError(problem, path=folder, scene=scene_id, cure="keep the one that belongs to the frames")
        if found:
            return found[0]
    return None
