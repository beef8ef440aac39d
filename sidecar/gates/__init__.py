"""Gates at run time: the tree of gates, the waiting room, ramps, counters, event streams, client reports.

Everything here belongs to one event loop. There are no locks, because nothing else writes.
"""
