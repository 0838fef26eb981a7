"""The picture of a record: frames, depth, tables and the drawn room on one sheet."""
