"""Raw scans: readers that turn a dataset's own files into :class:`gapdata.sources.base.Scan`."""
