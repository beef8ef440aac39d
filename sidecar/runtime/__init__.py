"""The controller, which is the only writer of all state, with its timers and its log."""
