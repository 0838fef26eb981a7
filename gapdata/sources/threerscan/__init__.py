"""3RScan: rooms that were scanned several times with a phone, some things moved in between (``--3rscan``)."""
