"""The commands of ``gapmodel``, one file each."""
