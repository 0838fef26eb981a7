"""Compute with cameras, lenses, depth, pointmaps and boxes: numpy and OpenCV only, no input or output."""
