"""The exit statuses of all commands."""

OK = 0
"""Success. For ``serve``: stopped by a signal."""
FAILED = 1
"""The command failed."""
USAGE = 2
"""The command line is wrong. For ``serve``: or the config is wrong."""
CANNOT_START = 3
"""``serve`` cannot use an address, a socket or the store."""
TEMPFAIL = 75
"""EX_TEMPFAIL of sysexits.h: the wait of ``gate`` timed out, or the request was rejected."""
INTERRUPTED = 130
"""Interrupted by Ctrl-C."""
PIPE_CLOSED = 141
"""The program that reads the output closed it."""

EPILOG = """\
exit status:
  0    success; for serve: stopped by a signal
  1    the command failed; the message says why
  2    the command line is wrong; for serve: or the config is wrong
  3    serve cannot use an address, a socket or the store
  75   for gate: the wait timed out, or the request was rejected; try again later
  130  interrupted by Ctrl-C
  141  the program that reads the output closed it
"""


class CommandFailed(Exception):
    """A command failed.

    Args:
        message: one line with the reason and the remedy.
        status: the exit status.
    """

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status
