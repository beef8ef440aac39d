"""The status page: the worst first, nothing in it runs."""

from __future__ import annotations

import base64
import hashlib
import re

from harness.sidecar import Sidecar


def test_it_shows_the_worst_first_and_runs_nothing() -> None:
    with Sidecar({"defaults": {"pause_on_distressed": True}}) as own:
        own.claim("well", "cautious")
        own.claim("sick", "distressed", reason="<script>alert(1)</script>", source="agent-7")
        answer = own.get("/")
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        text = answer.text
        assert "<script" not in text
        assert "&lt;script&gt;" in text
        assert text.index("sick") < text.index("well<"), "the worst first"
        style = re.search("<style>(.*?)</style>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
        policy = answer.headers["Content-Security-Policy"]
        assert f"style-src 'sha256-{digest}'" in policy
        assert policy.startswith("default-src 'none'")
        assert own.get("/v1/status").headers["X-Frame-Options"] == "DENY"
