"""Name the conventions of poses, for options and messages.

:mod:`gapdata.geometry.pose_convention` converts them. Nothing is imported, so that ``gapdata --help`` answers at once.
"""

from __future__ import annotations

CAMERA_TO_WORLD, WORLD_TO_CAMERA = "camera-to-world", "world-to-camera"
DIRECTIONS = (CAMERA_TO_WORLD, WORLD_TO_CAMERA)
AXES = {
    "opencv": "OpenCV's axes (x right, y down, z forward)",
    "opengl": "OpenGL's axes (x right, y up, z back; ARKit, Blender)",
    "unity": "left-handed axes (x right, y up, z forward; Unity, ICL-NUIM)",
    "ros": "ROS's axes (x forward, y left, z up)",
}
UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001}
"""Metres per unit."""
