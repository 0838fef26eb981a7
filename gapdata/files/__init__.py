"""Read and write files of any origin, on a disk or in an object store, including damaged and hostile ones."""
