"""The colour modes by name; apart, so that the command line knows them without importing what draws them."""

from __future__ import annotations

MEANING = {
    "rgb": "colour of the frames",
    "error": "disagreement with the other frames of the view",
    "instance": "annotated objects",
    "validity": "what each pixel's depth is worth",
    "frame": "which frame saw it",
}
MODES = tuple(MEANING)
