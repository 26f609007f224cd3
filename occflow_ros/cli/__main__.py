"""`python -m occflow_ros.cli` is the `occflow` command."""

from __future__ import annotations

import sys

from occflow_ros.cli import main

if __name__ == "__main__":
    sys.exit(main())
