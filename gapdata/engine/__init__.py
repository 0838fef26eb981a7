"""The build: recipe and plan, one pure function per shard, executors that decide where it runs, and the report."""
