"""Runs the command line: ``python -m sidecar`` is the same as ``wellbeing-sidecar``."""

import sys

from sidecar.cli import main

sys.exit(main())
