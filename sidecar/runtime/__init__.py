"""The controller, the only writer of all state, with its timers and its event log."""
