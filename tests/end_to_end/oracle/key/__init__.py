"""The answer key: of gapdata it imports the synthetic rooms alone (tests/end_to_end/oracle/test_key_is_apart.py)."""
