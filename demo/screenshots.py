"""Takes screenshots of the status page in Chromium, for the documentation.

The program starts a sidecar with the alerts, holds and waiting requests of a typical incident. It writes each
picture as a PNG into the folder that the first argument names.
"""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import requests
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from .environment import Sidecar, eventually

_DESK = (1280, 860)
_PHONE = (390, 844)
_COLOURS = 96
_GAP = 24
_HELD = "prod/llama-70b"
_CONFIG: dict[str, Any] = {
    "defaults": {"pause_on_distressed": True, "max_pause_secs": 900},
    "policies": [
        {"match": "staging", "pause_on_distressed": False},
        {"match": "prod/embeddings", "restrict": {"concerned": 20}},
    ],
    "ui": {
        "links": [
            {"name": "Grafana", "url": "https://grafana.example/d/wellbeing-scope?var-scope={scope}"},
            {"name": "Alert", "url": "https://prometheus.example/alerts?search={alertname}"},
            {"name": "Runbook", "url": "https://runbooks.example/{alertname}"},
        ]
    },
}
_ALERTS = (
    ("VllmQueueTimeHigh", "critical", _HELD, "Mean queue time is 41 s over the last 15 minutes.", 4),
    ("VllmErrorRateHigh", "warning", f"{_HELD}/pod-2", "12 % of requests fail.", 3),
    ("VllmKvCacheFull", "critical", "staging/mistral", "The KV cache is 99 % full.", 6),
    ("GpuTemperatureHigh", "info", "prod/mistral/pod-1", "A GPU runs at 84 degrees.", 31),
)
_CLAIMS = (
    ("prod/embeddings", "concerned", "p99 latency is 4 s", "router"),
    (f"{_HELD}/pod-1", "healthy", "", "planner"),
    (f"{_HELD}/pod-3", "cautious", "answers repeat", "planner"),
    ("batch/nightly", "cautious", "one of 40 jobs failed", "scheduler"),
)
_WAITING = 7


def main(folder: Path) -> None:
    """Write all pictures into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with Sidecar(_CONFIG) as sidecar, _waiting(sidecar), sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            with _opened(chromium, _DESK, scheme) as page:
                page.goto(sidecar.url)
                _save(folder / f"page-{scheme}.png", page.screenshot())
        with _opened(chromium, _DESK, "light") as page:
            page.goto(f"{sidecar.url}/ui/scope/{_HELD}")
            _save(folder / "page-scope.png", page.screenshot(full_page=True))
        _save(folder / "page-phone.png", _on_a_phone(chromium, sidecar))
        chromium.close()


@contextmanager
def _waiting(sidecar: Sidecar) -> Iterator[None]:
    """Create the state of the pictures, with requests that wait at the closed gate."""
    now = datetime.now(UTC)
    alerts = [
        {
            "status": "firing",
            "labels": {"alertname": name, "severity": severity, "wellbeing_scope": scope},
            "annotations": {"summary": summary},
            "startsAt": (now - timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z"),
            "fingerprint": f"{number:016x}",
        }
        for number, (name, severity, scope, summary, minutes) in enumerate(_ALERTS, 1)
    ]
    for scope, state, reason, source in _CLAIMS:
        sidecar.claim(scope, state, reason=reason, source=source)
    sent = requests.post(
        f"{sidecar.url}/v1/alerts",
        json={"version": "4", "status": "firing", "alerts": alerts},
        timeout=30,
    )
    sent.raise_for_status()
    sidecar.pause("batch", reason="maintenance of the file store", max_pause_secs=3600)
    stop = threading.Event()

    def wait(number: int) -> None:
        while not stop.is_set():
            requests.get(f"{sidecar.url}/v1/gate/{_HELD}/pod-{number % 3 + 1}", timeout=90)

    with ThreadPoolExecutor(_WAITING) as pool:
        for number in range(_WAITING):
            pool.submit(wait, number)
        eventually(lambda: _waiters(sidecar) == _WAITING, "the requests wait")
        try:
            yield
        finally:
            stop.set()
            sidecar.resume(_HELD)


def _waiters(sidecar: Sidecar) -> int:
    below = sidecar.get(f"/v1/status/{_HELD}?below=true").json()["below"]
    return sum(one["counters"]["waiters"] for one in below)


@contextmanager
def _opened(browser: Browser, size: tuple[int, int], scheme: str) -> Iterator[Page]:
    width, height = size
    with browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    ) as context:
        yield context.new_page()


def _on_a_phone(browser: Browser, sidecar: Sidecar) -> bytes:
    """Draw three steps side by side: the page of a paused scope, the question, and the effect."""
    shots = []
    with _opened(browser, _PHONE, "light") as page:
        page.goto(sidecar.url)
        shots.append(page.screenshot())
        page.get_by_role("link", name="Resume").first.click()
        shots.append(page.screenshot())
        page.get_by_role("button", name="Resume now").click()
        page.locator("#effect").wait_for()
        shots.append(page.screenshot())
    pictures = [Image.open(BytesIO(one)).convert("RGB") for one in shots]
    width, height = _PHONE
    whole = Image.new("RGB", (len(pictures) * (width + _GAP) - _GAP, height), "#8a9099")
    for number, picture in enumerate(pictures):
        whole.paste(picture, (number * (width + _GAP), 0))
    data = BytesIO()
    whole.save(data, "PNG")
    return data.getvalue()


def _save(path: Path, png: bytes) -> None:
    """Write ``png`` with few colours to keep it small, because the repository keeps every version."""
    picture = Image.open(BytesIO(png)).convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    picture.save(path, optimize=True)
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
