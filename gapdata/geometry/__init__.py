"""Cameras, registration, pointmaps, boxes: numpy (and OpenCV's resampling) only, no input or output."""
