"""The record: everything that one view of one scene needs, and its bytes."""
