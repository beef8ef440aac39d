"""The names of the keys. All have one hash tag, so that a cluster keeps them on one node."""

from __future__ import annotations


class RedisKeys:
    """The keys of one fleet.

    Args:
        prefix: the hash tag.

    Attributes:
        meta: hash: epoch, number of the last commit, schema, term, watchdog.
        scopes: hash: version and record by scope.
        sources: hash: version by alert source.
        tombstones: hash: tombstone by alert source.
        log: stream: the commits, by their number.
        history: stream: the history entries, by their id.
        lease: the id of the leader, until its lease expires.
        watchdog: hash: when the watchdog alert was received.
        positions: hash: the position of each reader of the history, and other values by key.
        turns: sorted sets, one for each key that several sidecars want to change: the waiting sidecars, by
            the time since which they wait.
        channel: channel on which commits are published.
    """

    def __init__(self, prefix: str) -> None:
        tag = f"{{{prefix}}}:"
        self.meta = tag + "meta"
        self.scopes = tag + "scopes"
        self.sources = tag + "sources"
        self.tombstones = tag + "tombstones"
        self.log = tag + "log"
        self.history = tag + "history"
        self.lease = tag + "lease"
        self.watchdog = tag + "watchdog"
        self.positions = tag + "positions"
        self.turns = tag + "turns:"
        self.channel = tag + "changes"
        self._tag = tag

    def limit(self, name: str) -> str:
        """Hash: what each sidecar has of the limit ``name``."""
        return f"{self._tag}limit:{name}"
