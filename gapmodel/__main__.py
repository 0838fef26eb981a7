"""``python -m gapmodel`` is the command ``gapmodel``."""

from gapmodel.commands.main import main

if __name__ == "__main__":
    raise SystemExit(main())
