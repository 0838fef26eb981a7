"""Synthetic RGB-D scans of furnished rooms, written in ScanNet's own file formats.

They stand in for real scans where there are none: the same files, furnished and lit rooms, a hand-held camera, a
noisy depth sensor, lost tracking, and annotation that is exact because it is known.
"""
