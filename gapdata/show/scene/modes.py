"""The names of the colour modes, in a file of their own that the command line imports without the drawing code."""

from __future__ import annotations

MEANING = {
    "rgb": "colour of the frames",
    "error": "disagreement with the other frames of the view",
    "instance": "annotated objects",
    "validity": "whether each pixel's depth can be trusted",
    "frame": "which frame saw it",
}
MODES = tuple(MEANING)
