"""The commands of ``gapdata``, one file each."""
