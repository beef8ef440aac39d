"""The programs accept the blocks of the README, the tutorial and the guides. The blocks do what the text
says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import unquote

import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from harness.monitoring import Alertmanager
from harness.pages import Block, Running, Terminals, blocks, checkout, pages
from harness.ports import free_port
from harness.process import Process, eventually, eventually_equal, program
from harness.sidecar import Sidecar
from sidecar.config import Config, load_config
from sidecar.config.json_schema import json_schema

ROOT = Path(__file__).parents[2]
README, TUTORIAL = "README.md", "docs/tutorial/first-pause.md"
SCOPE = "team-a/llama"


class Stage(Terminals):
    """Terminals that replace a page's ports by free ports, and vLLM by a program that needs no GPU."""

    def __init__(
        self, tree: Path, folder: Path, page: str, replacements: Mapping[str, str] | None = None
    ) -> None:
        # Remove the state of the previous test.
        for path in tree.glob("*.db*"):
            path.unlink()
        self.url = f"http://127.0.0.1:{free_port()}"
        self.engine = f"http://127.0.0.1:{free_port()}"
        self.alertmanager = f"http://127.0.0.1:{free_port()}"
        urls = {"9477": self.url, "8000": self.engine, "9093": self.alertmanager}
        text = (ROOT / page).read_text()
        super().__init__(
            tree,
            folder,
            {f"127.0.0.1:{port}": url.removeprefix("http://") for port, url in urls.items()}
            | (replacements or {}),
            {
                "WELLBEING_URL": self.url,
                "WELLBEING_LISTEN": self.url.removeprefix("http://"),
                # A minute is too long for a test.
                "WELLBEING_ALERTS__RECONCILE_SECS": "1",
                "VLLM_PORT": self.engine.rpartition(":")[2],
            },
            {
                "vllm": f"env PYTHONPATH={ROOT} {sys.executable} {Path(__file__).with_name('vllm_without_a_gpu.py')}",
                "alertmanager": program("prometheus-alertmanager"),
            },
        )
        assert all(f"127.0.0.1:{port}" in text for port in ("9477", "9093"))

    def serve(self, block: Block) -> Running:
        """Start the sidecar with a block of the page."""
        running = self.start(block)

        def is_ready() -> bool:
            running.alive()
            # Before the sidecar listens, a server of another test may use the port.
            is_listening = any("listening" in line for line in list(running.lines))
            return is_listening and is_up(f"{self.url}/-/ready")

        eventually(is_ready, "the sidecar is installed and up", 900)
        return running

    def gate(self, scope: str = SCOPE) -> str:
        return requests.get(f"{self.url}/v1/status/{scope}", timeout=60).json()["gate"]

    def waiters(self, scope: str) -> int:
        return requests.get(f"{self.url}/v1/status/{scope}", timeout=60).json()["counters"]["waiters"]

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels."""
        text = requests.get(f"{self.url}/metrics", timeout=60).text
        samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
        return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout without an environment; the first `make run` creates it."""
    return checkout(tmp_path_factory.mktemp("checkout"))


def is_up(url: str) -> bool:
    try:
        return requests.get(url, timeout=30).ok
    except requests.ConnectionError:
        return False


def saved(stage: Stage, page: str, *names: str) -> None:
    """Save the files of a page, and check that their names are ``names``."""
    files = {one.file: one for one in blocks(page, "yaml")}
    assert set(files) == set(names), "every YAML block is a file, and every file is used"
    for one in files.values():
        stage.save(one)


def test_every_block_of_the_readme_runs(tree: Path, tmp_path: Path) -> None:
    shell = blocks(README, "sh")
    run, ask, pause, resume, commands, install, serve, check = shell
    (worker,) = blocks(README, "python")
    (picture,) = blocks(README, "mermaid")
    assert picture.text.startswith("flowchart")
    assert len(blocks(README)) == len(shell) + 2 + len(blocks(README, "yaml"))
    with Stage(tree, tmp_path, README) as stage:
        stage.serve(run)
        assert "HTTP/1.1 200" in stage.paste(ask)
        waiting = stage.start(pause)
        eventually_equal(lambda: stage.waiters("team-a"), 1, "the request waits")
        stage.paste(resume)
        assert waiting.wait() == 0
        assert any("HTTP/1.1 200" in line for line in waiting.lines)
        assert "still paused: exit status 75" in stage.paste(commands)
        # The inference server's environment.
        venv.create(tmp_path / "venv", with_pip=True)
        path = f"{tmp_path}/venv/bin{os.pathsep}{os.environ['PATH']}"
        stage.paste(install, PATH=path)
        stage.paste(Block(README, "sh", f"cd /\npython - <<'END'\n{worker.text}END\n"), PATH=path)
        stage.start(serve)
        eventually(lambda: is_up(f"{stage.engine}/metrics"), "the engine is up")
        saved(stage, README, "sidecar.yaml", "prometheus.yml", "wellbeing.rules.yml", "alertmanager.yml")
        stage.paste(Block(README, "sh", f". .venv/bin/activate\n{check.text}"))


def test_the_files_of_the_readme_pause_the_intended_scope_only(tree: Path, tmp_path: Path) -> None:
    _run, serve = (block for block in blocks(README, "sh") if block.text.startswith(("make run", "export")))
    (again,) = re.findall(r"`(make run ARGS=[^`]*)`", (ROOT / README).read_text())
    often = {f"{what}: 15s": f"{what}: 1s" for what in ("scrape_interval", "evaluation_interval")}
    with Stage(tree, tmp_path, README, often) as stage:
        files = ("sidecar.yaml", "prometheus.yml", "wellbeing.rules.yml", "alertmanager.yml")
        saved(stage, README, *files)
        config = yaml.safe_load((stage.tree / "alertmanager.yml").read_text())
        prometheus = f"127.0.0.1:{free_port()}"
        with Alertmanager("", config=config) as alertmanager, ExitStack() as stack:
            stage.replacements["127.0.0.1:9093"] = alertmanager.address
            saved(stage, README, *files)
            command = ["--config.file=prometheus.yml", f"--web.listen-address={prometheus}"]
            command += ["--storage.tsdb.path=build/prometheus", "--rules.alert.resend-delay=1s"]
            stack.push(Process([program("prometheus"), *command], stage.tree).__exit__)
            stage.serve(Block(README, "sh", again))
            stage.start(serve)
            up = f"http://{prometheus}/api/v1/query?query=sum(up)"
            eventually(lambda: is_up(f"http://{prometheus}/-/ready"), "Prometheus is up")
            eventually(
                lambda: '"2"' in requests.get(up, timeout=60).text, "the engine and the sidecar are scraped"
            )
            rules = requests.get(f"http://{prometheus}/api/v1/rules", timeout=60).json()["data"]["groups"][0]
            assert {rule["name"] for rule in rules["rules"]} == {"WellbeingWatchdog", "RequestsPileUp"}
            eventually(
                lambda: stage.metric("wellbeing_webhook_notifications_total", result="accepted"),
                "the watchdog is received",
            )

            alertmanager.fire("DiskFull", severity="critical")
            eventually(lambda: alertmanager.listed("DiskFull"), "Alertmanager has the alert")
            rounds = "wellbeing_reconciliations_total"
            asked = stage.metric(rounds, result="done")
            eventually(lambda: stage.metric(rounds, result="done") > asked + 1, "Alertmanager is asked")
            labels = {"severity": "critical", "wellbeing": "distressed", "wellbeing_scope": SCOPE}
            alertmanager.fire("RequestsPileUp", **labels)
            eventually_equal(stage.gate, "closed", "the alert closes the gate")
            assert stage.gate("") == "open", "the alert of another team pauses nothing"
            assert stage.gate("team-b") == "open"
            assert stage.metric("wellbeing_blind") == 0
            # Alertmanager sends no resolve for an alert that ends before its first notification.
            outcomes = ("applied", "repeated")
            eventually(
                lambda: sum(stage.metric("wellbeing_webhook_alerts_total", outcome=one) for one in outcomes),
                "the alert is sent",
            )
            alertmanager.resolve("RequestsPileUp", **labels)
            eventually_equal(stage.gate, "open", "its end opens the gate")


def test_every_block_of_the_tutorial_runs(tree: Path, tmp_path: Path) -> None:
    shell = blocks(TUTORIAL, "sh")
    (run, install, work, pause, status, resume, claim, withdraw, configured, claim_again, withdraw_again,
     alertmanager, fire, resolve, unrelated, history) = shell  # fmt: skip
    (worker,) = blocks(TUTORIAL, "python")
    assert len(blocks(TUTORIAL)) == len(shell) + 1 + len(blocks(TUTORIAL, "yaml"))
    with Stage(tree, tmp_path, TUTORIAL) as stage:
        active = {
            "PATH": f"{stage.tree}/.venv/bin{os.pathsep}{tmp_path}/programs{os.pathsep}{os.environ['PATH']}"
        }
        sidecar = stage.serve(run)
        stage.paste(install)
        stage.save(worker)
        working = stage.start(work)
        working.says("answer 2")

        def goes_on() -> None:
            working.says("answer", since=len(working.lines))

        def stops(text: str) -> None:
            eventually(lambda: text in stage.paste(status, **active), text)
            assert "gate closed" in stage.paste(status, **active)

        stage.paste(pause)
        stops("my first pause")
        assert "gate open" in stage.paste(resume, **active)
        goes_on()
        said = stage.paste(claim, **active)
        assert "distressed, gate open" in said
        goes_on()
        stage.paste(withdraw, **active)

        saved(stage, TUTORIAL, "sidecar.yaml", "alertmanager.yml")
        sidecar.interrupt()
        goes_on()
        stage.serve(configured)
        stage.paste(claim_again, **active)
        stops("my answers repeat")
        stage.paste(withdraw_again, **active)
        assert stage.gate() == "open"
        goes_on()

        stage.start(alertmanager)
        eventually(lambda: is_up(f"{stage.alertmanager}/-/ready"), "Alertmanager is up")
        stage.paste(fire)
        stops("the queue is too long")
        stage.paste(unrelated)
        stage.paste(resolve)
        eventually_equal(stage.gate, "open", "the resolved alert opens the gate")
        goes_on()
        told = stage.paste(history, **active)
        for what in ("my first pause", "my answers repeat", "the queue is too long"):
            assert what in told
        assert "DiskFull" not in told


KEYS = set(json_schema()["properties"])
GUIDES = [page for page in pages() if page not in (README, TUTORIAL)]


def own(page: str) -> list[Block]:
    """The blocks of a page that are a config of the sidecar or a part of such a config."""
    found = []
    for block in blocks(page, "yaml"):
        documents = [one for one in yaml.safe_load_all(block.text) if one]
        if all(isinstance(one, dict) and set(one) <= KEYS for one in documents):
            found.append(block)
    return found


@pytest.mark.parametrize("page", [page for page in GUIDES if own(page)])
def test_each_config_in_the_guides_is_valid(tmp_path: Path, page: str) -> None:
    for block in own(page):
        (tmp_path / "sidecar.yaml").write_text(block.text)
        assert load_config(tmp_path / "sidecar.yaml", {}) != Config()


def routing(page: str) -> list[dict[str, object]]:
    """The blocks of a page that are a part of Alertmanager's config."""
    found = [yaml.safe_load(block.text) for block in blocks(page, "yaml") if "kind:" not in block.text]
    parts = {"route", "routes", "receivers"}
    return [one for one in found if isinstance(one, dict) and one and set(one) <= parts]


@pytest.mark.parametrize("page", [page for page in GUIDES if routing(page)])
def test_each_alertmanager_config_in_the_guides_is_valid(tmp_path: Path, page: str) -> None:
    (whole,) = (one for one in blocks(README, "yaml") if one.file == "alertmanager.yml")
    for part in routing(page):
        config = yaml.safe_load(whole.text)
        config["route"]["routes"] = part.pop("routes", config["route"]["routes"])
        config |= part
        named = set(re.findall(r"receiver: (\S+)", yaml.safe_dump(config["route"])))
        known = {receiver["name"] for receiver in config["receivers"]}
        config["receivers"] += [{"name": name} for name in sorted(named - known)]
        (tmp_path / "alertmanager.yml").write_text(yaml.safe_dump(config))
        command = [program("amtool"), "check-config", "alertmanager.yml"]
        done = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", [page for page in pages() if blocks(page, "python")])
def test_each_python_block_compiles(page: str) -> None:
    for block in blocks(page, "python"):
        # A block may contain `await` outside a function.
        compile(block.text, page, "exec", flags=0x2000)  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    plain = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).replace("`", "") for title in titles]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in plain}


@pytest.mark.parametrize("page", pages())
def test_each_link_has_a_target(page: str) -> None:
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / unquote(name) if name else ROOT / page
        assert path.exists(), f"{page} links to {target}"
        if anchor:
            assert anchor in anchors(path), f"{page} links to {target}"


def test_each_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    for page in pages():
        if page.startswith("docs/") and page != "docs/README.md" and "/runbooks/" not in page:
            assert f"]({page.removeprefix('docs/')})" in index, page


def test_the_example_agent_runs() -> None:
    with Sidecar({"defaults": {"pause_on_distressed": True}}) as sidecar:
        command = [sys.executable, str(ROOT / "examples" / "agent_wellbeing.py"), sidecar.url, "team/agent"]
        done = subprocess.run(
            command,
            check=False,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        states = [line.split()[0] for line in done.stdout.splitlines()]
        assert states == ["healthy", "healthy", "healthy", "concerned", "concerned", "distressed"]
        kinds = [entry["kind"] for entry in sidecar.get("/v1/history/team/agent").json()["entries"]]
        assert kinds == ["resume", "intervention", "pause", "intervention", "intervention"]
