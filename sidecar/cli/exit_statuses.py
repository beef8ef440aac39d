"""The exit statuses of all commands."""

OK = 0
"""Done; of ``serve``: stopped by a signal."""
FAILED = 1
"""The command could not do what it was asked."""
USAGE = 2
"""The command line is wrong; of ``serve``: or the config."""
CANNOT_START = 3
"""``serve`` cannot use an address, a socket or the store."""
TEMPFAIL = 75
"""EX_TEMPFAIL of sysexits.h: ``gate`` waited, and the gate is still closed."""
INTERRUPTED = 130
"""Ctrl-C."""
PIPE_CLOSED = 141
"""The program that reads the output has closed it."""

EPILOG = """\
exit status:
  0    done; of serve: stopped by a signal
  1    it could not be done: the message says why
  2    the command line is wrong; of serve: or the config
  3    serve cannot use an address, a socket or the store
  75   gate: the wait ran out, or the request was turned away; try again later
  130  interrupted by Ctrl-C
  141  the program that reads the output has closed it
"""


class CommandFailed(Exception):
    """A command that cannot do what it was asked.

    Args:
        message: one line that says why and what to do.
        status: the exit status.
    """

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status
