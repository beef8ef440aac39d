"""Random kills, and a long mixed load. `make soak` runs the long form of both."""

from __future__ import annotations

import json
import os
from pathlib import Path

from harness.crash import crash
from harness.sidecar import Sidecar
from harness.soak import Soak

KILLS = int(os.environ.get("SOAK_KILLS", "25"))
SECS = float(os.environ.get("SOAK_SECS", "12"))


def test_acknowledged_changes_survive_kills_at_random_points(tmp_path: Path) -> None:
    seed = int(os.environ.get("SOAK_SEED", str(int.from_bytes(os.urandom(4)))))
    print(f"SOAK_SEED={seed}")
    operations = crash(tmp_path, KILLS, seed)
    print(json.dumps({"kills": KILLS, "acknowledged operations": operations}))
    assert operations > KILLS, "the sidecar was killed under load"


def test_churn_keeps_the_conservation_law_and_leaks_nothing(tmp_path: Path) -> None:
    config = {
        "defaults": {"pause_on_distressed": True, "max_pause_secs": 2, "resume_ramp_per_sec": 50},
        "policies": [{"match": "team/1", "min_pause_secs": 0.3}, {"match": "team/2", "enabled": False}],
        "scope_idle_secs": 2,
        "alerts": {"alert_ttl_secs": 5},
        "store": {"url": "sqlite:state.db", "history_max_entries": 2000},
    }
    with Sidecar(config, store="sqlite:state.db", folder=tmp_path) as sidecar:
        report = Soak(sidecar, SECS).run()
        figures = report.figures()
        figures["database_kb"] = sum(file.stat().st_size for file in tmp_path.glob("state.db*")) // 1024
        print(json.dumps(figures, indent=2))
        assert sidecar.logs("task_failed") == []
    early, late = (figures["memory_kb"][part] for part in ("second quarter", "last quarter"))
    # In a short run, memory grows while Python fills the arenas of its threads and its caches.
    assert late < early * (1.05 if SECS >= 300 else 1.2), figures
    assert figures["files"]["last quarter"] < figures["files"]["second quarter"] * 1.3 + 10, figures
    assert figures["scopes"]["last quarter"] < figures["scopes"]["second quarter"] * 1.5 + 20, figures
