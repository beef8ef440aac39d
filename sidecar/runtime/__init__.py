"""The controller, which is the one writer of all state, and its timers and logs."""
