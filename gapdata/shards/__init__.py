"""Shards: records in WebDataset tars, their index, and the reader."""
