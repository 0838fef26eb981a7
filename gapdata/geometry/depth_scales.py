"""List the depth scales in use and the depths of a room, which tell a wrong scale from a right one."""

from __future__ import annotations

USUAL_SCALES = (1000.0, 5000.0, 4000.0, 10000.0, 6553.5, 256.0, 100.0, 1.0, 2000.0, 500.0, 10.0)
"""Units per metre, the usual ones first: Kinect and ScanNet, TUM and ICL-NUIM, RealSense, 0.1 mm, Replica, KITTI,
centimetres, metres."""
INDOORS = (0.3, 12.0)
"""Metres between which the median depth of a room lies."""

NO_READING = 65535
"""The value that 7-Scenes, Kinect tools and sensors at the end of their range write for a missing depth. It is never
a reading, whatever the scale."""
