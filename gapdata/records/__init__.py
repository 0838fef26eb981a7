"""Make, encode and read records: one view of one scene each, with everything that is known about it."""
