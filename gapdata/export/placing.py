"""Put files below an export's folder: names that cannot lead out of it, and bytes that are written once."""

from __future__ import annotations

from pathlib import Path

from gapdata.annotations.frame_names import MAX_FRAME_ID, SCENE_NAME, frame_of_path
from gapdata.annotations.splits import SPLITS
from gapdata.errors import ShardError
from gapdata.export.items import image_path
from gapdata.files.atomic import atomic_file
from gapdata.records.codec import member_name
from gapdata.records.schema import Record
from gapdata.sources.images import encoded_image_size

CURE = "run `gapdata verify` on the build"


def place(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a file, or make sure that it is there from an export that was stopped.

    Args:
        path: where.
        data: its bytes.
        durable: flush it to disk now; else the caller does before it writes what names the file (``os.sync``). To
            wait for the disk with each of many images takes several times as long as to make them.

    Raises:
        ShardError: the file exists and holds something else.
    """
    if not path.exists():
        with atomic_file(path, durable=durable) as file:
            file.write(data)
    elif path.stat().st_size != len(data) or path.read_bytes() != data:
        raise ShardError("differs from what this build holds", path=path, cure="export to an empty folder")


def check_names(record: Record) -> None:
    """Refuse names that would lead out of the folder, or that would not read back as this scene and frame.

    Raises:
        ShardError: the split, the scene or a frame cannot be part of a file's name.
    """
    if record.split not in SPLITS:
        raise ShardError(f"record {record.key!r} has the unknown split {record.split!r}", cure=CURE)
    if SCENE_NAME.fullmatch(record.scene_id) is None:
        problem = f"record {record.key!r} has the scene {record.scene_id!r}, which cannot be the name of a folder"
        raise ShardError(problem, cure=CURE)
    for frame, frame_id in enumerate(record.frame_ids):
        named = 0 <= frame_id <= MAX_FRAME_ID
        if not named or frame_of_path(image_path(record, frame)) != (record.scene_id, frame_id):
            raise ShardError(f"record {record.key!r}: {frame_id} is not a raw index", scene=record.scene_id, cure=CURE)


def stored(record: Record, name: str) -> bytes:
    """Return a member of a record.

    Raises:
        ShardError: it is missing.
    """
    if name not in record.members:
        raise ShardError(f"record {record.key}: member {name} is missing", scene=record.scene_id, cure=CURE)
    return record.members[name]


def stored_image(record: Record, frame: int) -> bytes:
    """Return the JPEG of a frame, whose size is checked.

    Raises:
        ShardError: it is missing, incomplete, or has another size than the record says.
    """
    data = stored(record, member_name(frame, "jpg"))
    if encoded_image_size(data) != record.image_size:
        raise damaged(record, frame, f"an image is incomplete or not {record.image_size[0]}x{record.image_size[1]}")
    return data


def damaged(record: Record, frame: int, problem: str) -> ShardError:
    """Return the error for a frame of a record."""
    return ShardError(
        f"record {record.key}: {problem}", scene=record.scene_id, frame=record.frame_ids[frame], cure=CURE
    )
