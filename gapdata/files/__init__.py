"""Read and write files of any origin, on a disk or in an object store, also damaged and hostile ones."""
