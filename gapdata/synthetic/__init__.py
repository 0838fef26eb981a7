"""Synthetic RGB-D scans of furnished rooms, written in ScanNet's own file formats.

They replace real scans in tests and demonstrations: the same files, furnished and lit rooms, a hand-held camera, a
noisy depth sensor, lost tracking, and exact annotation.

shapes, materials, style        surfaces and what they are made of (pictures, textures)
seating, tables, storage, ...   furniture; furnishing puts it into a room (placement, room, openings, rooms)
scene, lighting, render         a scene, its light, and the views of its cameras (trajectory, sensor)
dataset                         the files (sens_writer, annotation_files, categories, releases/)
"""
