"""Benchmarks: each figure is compared with that of a peer in the same run."""
