"""``python -m gapdata`` is the command ``gapdata``."""

from gapdata.commands.main import main

if __name__ == "__main__":
    raise SystemExit(main())
