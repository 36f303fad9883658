"""`python -m saccade` is `saccade`."""

from __future__ import annotations

import sys

from saccade.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
