"""Gates at run time: the tree of gates, the waiting room, ramps, counters, event streams, clients' reports.

Everything here belongs to one event loop. Nothing is locked, because nothing else writes.
"""
