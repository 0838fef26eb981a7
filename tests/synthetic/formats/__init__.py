"""Walks written in other formats and read again."""
