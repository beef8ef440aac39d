"""The intervention state machine. It takes values and returns values. No clock, no I/O, no threads."""
