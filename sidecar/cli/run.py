"""Runs one command, and turns errors into one line and an exit status."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from .exit_statuses import FAILED, INTERRUPTED, PIPE_CLOSED, CommandFailed
from .interrupts import InterruptsRaised
from .output import print_error
from .parser import parse

_NO_SERVER = (
    "this command needs the server's packages ({} is not installed): "
    "install the extra `server`, e.g. pip install '.[server]' in a checkout"
)


def run(arguments: Sequence[str]) -> int:
    """Run the command that ``arguments`` name; return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal without UTF-8 gets \\xe9 for a letter that it cannot show.
            stream.reconfigure(errors="backslashreplace")
    options = parse(arguments)
    command: Callable[[argparse.Namespace], int] = options.run
    try:
        with InterruptsRaised():
            status = command(options)
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except CommandFailed as error:
        print_error(str(error))
        return error.status
    except ModuleNotFoundError as error:
        if (error.name or "sidecar").partition(".")[0] == "sidecar":
            raise
        print_error(_NO_SERVER.format(error.name))
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return PIPE_CLOSED
    except OSError as error:
        _discard_output()
        print_error(f"the output cannot be written: {error.strerror or error}")
        return FAILED


def _discard_output() -> None:
    """Send the remaining output to the null device, so that the flush at exit does not fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
