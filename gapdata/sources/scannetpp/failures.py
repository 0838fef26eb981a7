"""Say which file, scene and frame of ScanNet++ an error is about, and how to get what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gapdata.errors import GapDataError, SourceError, kind_of_failure
from gapdata.files.storage import Location

DOWNLOAD = "python download_scannetpp.py download_scannetpp.yml"
AGAIN = f"download it again: {DOWNLOAD}"


def how_to_get(*assets: str) -> str:
    """Return the command that downloads some assets of the scenes."""
    return f"download {', '.join(assets)}: name them in download_assets of the yml, and run {DOWNLOAD}"


@contextmanager
def naming(path: Location, scene_id: str, frame: int | None = None, cure: str | None = AGAIN) -> Iterator[None]:
    """Turn what readers raise for a damaged file into a source error that names the file, the scene and the frame.

    Raises:
        SourceError: a file is damaged or missing.
        StoreError: a store or the system failed.
    """
    try:
        yield
    except GapDataError as error:
        error.scene = error.scene or scene_id
        error.frame = frame if error.frame is None else error.frame
        raise
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}"
        raise kind_of_failure(error)(problem, path=path, scene=scene_id, frame=frame) from error
    except ValueError as error:
        raise SourceError(str(error), path=path, scene=scene_id, frame=frame, cure=cure) from error
