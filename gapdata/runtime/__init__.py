"""What a process finds where it runs; knows nothing of scans."""
