"""``python -m sidecar`` is ``wellbeing-sidecar``."""

import sys

from sidecar.cli import main

sys.exit(main())
