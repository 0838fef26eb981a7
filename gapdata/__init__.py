"""gapdata: raw RGB-D scans in; frame sequences, first-frame metric pointmaps, visual prompts and shards out."""

__version__ = "0.1.0"
