"""Where shards are built: in this process, in processes of this machine, or in Ray tasks."""
