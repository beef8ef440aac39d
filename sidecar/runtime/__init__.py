"""The controller and what it owns: the tree of gates, waiters, timers, counters.

Everything here belongs to one event loop. Nothing is locked, because nobody else writes.
"""
