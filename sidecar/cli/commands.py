"""The names of all commands, with a summary of each.

Each command has a module with its name, which has ``run`` and, where the command has some, ``add_arguments``
and ``EXAMPLES``. The module is imported only when the command is named.
"""

from __future__ import annotations

SUMMARIES = {
    "serve": "run the sidecar",
    "check-config": "check a config file, the environment, and the files that both name",
    "copy-store": "copy the state and history of one store to another, without overwriting records",
    "init": "write configs for the sidecar, Prometheus and Alertmanager that work together",
    "token": "make a bearer token and its digest for the config",
    "hash-password": "hash a password for the config, read from the terminal or from standard input",
    "hook-test": "send made-up events to a hook of the config",
    "status": "show the status of a scope, and everything inside it that is not well or not open",
    "pause": "close the gate of a scope and of everything inside it",
    "resume": "lift every hold of a scope; exit 1 if its gate stays closed or it is unknown",
    "state": "report an agent's own state",
    "history": "show the history of a scope and everything inside it, newest first",
    "watch": "print a scope's snapshot, and each change of it and everything inside it; Ctrl-C stops it",
    "gate": "block until the gate is open; exit 75 if the wait times out",
    "mcp": "serve an agent's tools over MCP: report its wellbeing, ask whether it is paused, ask for a pause",
    "explain": "show what an alert would do, and why, without doing it",
    "completion": "print the completion script of a shell",
    "backtest": "show what a config would have paused over the last days, from the data of a Prometheus",
}
