"""The intervention state machine: values in, values out. No clock, no I/O, no threads."""
