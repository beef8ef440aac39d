"""Real programs for tests: started on loopback, on ports the kernel picks, and ended by their own id."""
