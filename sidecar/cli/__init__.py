"""The command line: runs a sidecar, or sends requests to a running one."""

from __future__ import annotations

import sys

from .interrupts import end_on_interrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that ``arguments`` name.

    Args:
        arguments: arguments without the program's name; None: the arguments of the process.

    Returns:
        The exit status: one of `sidecar.cli.exit_statuses`.
    """
    if arguments is None:
        end_on_interrupt()
        arguments = sys.argv[1:]
    try:
        # Imports happen here, so that a signal during an import is handled like any other.
        from sidecar.import_clash import refuse_another_sidecar  # noqa: PLC0415

        refuse_another_sidecar()
        if arguments[:1] == ["serve"]:
            from .early_stop import stop_on_signals  # noqa: PLC0415

            stop_on_signals(arguments)
        from .run import run  # noqa: PLC0415

        return run(list(arguments))
    except KeyboardInterrupt:
        return 130
