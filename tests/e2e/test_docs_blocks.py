"""The program that reads a fenced block of the documentation checks the block, or a test that this file names
runs it."""

from __future__ import annotations

import ast
import configparser
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import _jsonnet
import pytest
import yaml
from test_readme import KEYS, README, TUTORIAL, own, routing

from docsite.diagrams import FOLDER, digest
from harness.pages import Block, blocks, pages
from harness.ports import free_port
from harness.process import program
from harness.redis_server import RedisServer
from harness.sidecar import Sidecar
from sidecar.cli.parser import make_parser
from sidecar.web.api.openapi import openapi

ROOT = Path(__file__).parents[2]
# The named test runs every block of these pages.
RUN_ELSEWHERE = {
    README: "tests/e2e/test_readme.py",
    TUTORIAL: "tests/e2e/test_readme.py",
    "docs/how-to/kubernetes/README.md": "tests/deploy/test_guide.py",
    "docs/how-to/kubernetes/workloads.md": "tests/deploy/test_guide.py",
    "docs/how-to/kubernetes/platforms.md": "tests/deploy/test_guide.py",
}
# The rules on this page are checked as files.
GENERATED = "docs/reference/alert-rules.md"
PAGES = [page for page in pages() if page not in RUN_ELSEWHERE and page != GENERATED]
ALL = [(page, number) for page in PAGES for number in range(len(blocks(page)))]


def call(*command: str, cwd: Path | None = None, text: str | None = None) -> str:
    done = subprocess.run(
        command, check=False, cwd=cwd, input=text, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


# -- shell ------------------------------------------------------------------------------------------------


def _ours(words: list[str]) -> None:
    try:
        make_parser().parse_args(words)
    except SystemExit as error:
        raise AssertionError(f"wellbeing-sidecar {words} is refused") from error


def _make(words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for word in words:
        assert "=" in word or f"\n{word}:" in makefile, f"make has no target {word}"


def _pip(words: list[str]) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert words[0] == "install"
    for word in words[1:]:
        name, _, wanted = word.rstrip("]").partition("[")
        assert name in (".", "wellbeing-sidecar")
        assert not wanted or set(wanted.split(",")) <= set(extras)


def _curl(words: list[str]) -> None:
    (url,) = [word for word in words if word.startswith("http://127.0.0.1:9477")]
    path = url.removeprefix("http://127.0.0.1:9477").partition("?")[0]
    known = openapi()["paths"]
    scoped = [one.removesuffix("{scope}") for one in known if "{scope}" in one]
    assert path in known or any(path.startswith(one) for one in scoped), f"there is no route {path}"


def _python(words: list[str]) -> None:
    if words[:1] == ["-m"] and words[1] != "venv":
        assert importlib.util.find_spec(words[1]), f"there is no module {words[1]}"


def _victoria(name: str) -> Callable[[list[str]], None]:
    def check(words: list[str]) -> None:
        known = subprocess.run([program(name), "-help"], check=False, capture_output=True, text=True)
        for word in words:
            flag = word.partition("=")[0]
            assert f"{flag} " in known.stdout + known.stderr, f"{name} has no flag {flag}"

    return check


def _kubectl(words: list[str]) -> None:
    """The applied folder or file exists; tests/deploy builds all of them."""
    if "-k" in words:
        assert (ROOT / words[words.index("-k") + 1] / "kustomization.yaml").exists()


def _nothing(_: list[str]) -> None:
    """The command is not part of this project."""


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "wellbeing-sidecar": _ours,
    "make": _make,
    "pip": _pip,
    "backtest/bin/pip": _pip,
    "/opt/wellbeing-sidecar/bin/pip": _pip,
    "curl": _curl,
    "python": _python,
    "python3": _python,
    ".venv/bin/python": _python,
    "kubectl": _kubectl,
    **{name: _victoria(name) for name in ("victoria-metrics", "vmagent", "vmalert")},
    # tests/e2e/test_readme.py runs this middleware with an engine that needs no GPU.
    "vllm": _nothing,
    # A placeholder for the reader's own program.
    "start-the-batch": _nothing,
    # Like the block above, but with the jsonnet library.
    "jsonnet": _nothing,
    **dict.fromkeys(("export", ".", "mkdir", "install", "systemctl", "promtool"), _nothing),
}


def commands(text: str) -> list[list[str]]:
    """The words of each simple command."""
    found: list[list[str]] = []
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
        lexer.whitespace_split = True
        found.append([])
        for word in lexer:
            if set(word) <= set(";&|"):
                found.append([])
            else:
                found[-1].append(word)
    return [one for one in found if one]


def shell(block: Block, _: Path) -> None:
    call("bash", "-n", text=block.text)
    for name, *words in commands(block.text):
        assert name in COMMANDS, f"{name}: no check knows this command"
        COMMANDS[name](words)


def console(block: Block, folder: Path) -> None:
    lines = block.text.splitlines()
    assert all(line.startswith("# ") for line in lines)
    shell(Block(block.page, "sh", "".join(f"{line[2:]}\n" for line in lines)), folder)
    for path in re.findall(r"deploy/\S+", block.text):
        assert (ROOT / path).exists()


# -- YAML -------------------------------------------------------------------------------------------------

PROMETHEUS = {"global", "rule_files", "scrape_configs", "alerting"}


def _promtool(folder: Path, config: object) -> None:
    text = re.sub(r"/run/secrets/[\w-]+", str(folder / "secret"), yaml.safe_dump(config))
    (folder / "secret").write_text("a")
    (folder / "prometheus.yml").write_text(text)
    (folder / "alerts").symlink_to(ROOT / "alerts")
    call(program("promtool"), "check", "config", "prometheus.yml", cwd=folder)


def yaml_block(block: Block, folder: Path) -> None:
    (value, *more) = [one for one in yaml.safe_load_all(block.text) if one]
    keys = set(value)
    if block.page == "docs/how-to/proxies.md" and keys != {"readinessProbe"}:
        proxies(block, folder)
    elif block in own(block.page):
        assert keys <= KEYS  # loaded by test_readme.py: test_each_config_in_the_guides_is_valid
    elif value in routing(block.page):
        assert not more  # test_readme.py: test_each_alertmanager_config_in_the_guides_is_valid
    elif keys <= PROMETHEUS:
        _promtool(folder, value)
    elif keys == {"metric_relabel_configs"}:
        # Continues the job of the previous block.
        (job,) = [
            yaml.safe_load(one.text) for one in blocks(block.page, "yaml") if "scrape_configs" in one.text
        ]
        job["scrape_configs"][0] |= value
        _promtool(folder, job)
    elif keys == {"groups"}:
        (folder / "rules.yml").write_text(block.text)
        call(program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", "rules.yml", cwd=folder)
    elif keys == {"readinessProbe"}:
        container = {"name": "a", "image": "a:1", **value}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "a"},
            "spec": {"containers": [container]},
        }
        (folder / "pod.yaml").write_text(yaml.safe_dump(pod))
        call(program("kubernetes-validate"), "--strict", "pod.yaml", cwd=folder)
    else:
        raise AssertionError(f"no check knows a block with the keys {sorted(keys)}")


def proxies(block: Block, _: Path) -> None:
    """The blocks are files that test_proxies.py runs."""
    assert block.text.strip() in {
        path.read_text().strip() for path in (ROOT / "examples" / "proxies").iterdir()
    }


# -- other languages --------------------------------------------------------------------------------------


def python(block: Block, _: Path) -> None:
    """Blocks that need only a sidecar are run below."""
    compile(block.text, block.page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def json_block(block: Block, _: Path) -> None:
    value = json.loads(block.text)
    if block.page == "docs/reference/http.md":
        assert set(value) == set(openapi()["components"]["schemas"]["GateSnapshot"]["properties"])
    elif "mcpServers" in value:
        server = value["mcpServers"]["wellbeing"]
        assert server["command"] == "wellbeing-sidecar"
        _ours(server["args"])
    else:
        assert [one["type"] for one in value] == [
            "function"
        ] * 3  # tests/unit/test_tool_calls.py compares them


def promql(block: Block, folder: Path) -> None:
    expressions = re.split(r"^# .*\n", block.text, flags=re.MULTILINE)
    rules = [{"record": f"a:{number}", "expr": one} for number, one in enumerate(expressions) if one.strip()]
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "a", "rules": rules}]}))
    call(program("promtool"), "check", "rules", "rules.yml", cwd=folder)


def jsonnet(block: Block, folder: Path) -> None:
    (folder / "vendor").mkdir()
    shutil.copytree(ROOT / "mixin", folder / "vendor" / "wellbeing-sidecar-mixin")
    made = json.loads(
        _jsonnet.evaluate_snippet("wellbeing.jsonnet", block.text, jpathdir=[str(folder / "vendor")])
    )
    files = ("wellbeing-rules.json", "wellbeing-alerts.json")
    assert set(made) == {*files, "wellbeing-fleet.json", "wellbeing-scope.json", "wellbeing-sidecar.json"}
    for name in files:
        (folder / name).write_text(json.dumps(made[name]))
    call(program("promtool"), "check", "rules", *files, cwd=folder)


def unit(block: Block, folder: Path) -> None:
    (folder / "wellbeing-sidecar.service.d").mkdir()
    (folder / "wellbeing-sidecar.service.d" / "own.conf").write_text(block.text)
    parsed = configparser.ConfigParser(strict=False)
    parsed.optionxform = str
    parsed.read_string(block.text)
    text = (ROOT / "deploy" / "systemd" / "wellbeing-sidecar.service").read_text()
    (folder / "wellbeing-sidecar.service").write_text(
        re.sub(r"ExecStart=\S+", f"ExecStart={sys.executable}", text)
    )
    said = call(program("systemd-analyze"), "verify", "--man=no", "./wellbeing-sidecar.service", cwd=folder)
    assert "own.conf" not in said, said


def conf(block: Block, folder: Path) -> None:
    options = dict(line.split() for line in block.text.splitlines())
    with RedisServer(options, folder=folder) as server:
        assert server.cli("config", "get", "maxmemory-policy").split() == [
            "maxmemory-policy",
            options["maxmemory-policy"],
        ]


def redis(block: Block, folder: Path) -> None:
    with RedisServer(folder=folder) as server:
        assert server.cli(*block.text.split()).strip() == "OK"


def picture(block: Block, _: Path) -> None:
    assert (FOLDER / f"{digest(block.text)}.svg").exists()


def output(block: Block, _: Path) -> None:
    """The output of a program, or a drawing."""


CHECKS: dict[str, Callable[[Block, Path], None]] = {
    "caddyfile": proxies,
    "conf": conf,
    "console": console,
    "haproxy": proxies,
    "ini": unit,
    "json": json_block,
    "jsonnet": jsonnet,
    "lua": proxies,
    "mermaid": picture,
    "nginx": proxies,
    "promql": promql,
    "python": python,
    "redis": redis,
    "sh": shell,
    "text": output,
    "yaml": yaml_block,
}


@pytest.mark.parametrize(("page", "number"), ALL, ids=str)
def test_every_block_is_accepted_by_its_program(page: str, number: int, tmp_path: Path) -> None:
    block = blocks(page)[number]
    assert block.language in CHECKS, f"no check knows the language {block.language}"
    CHECKS[block.language](block, tmp_path)


@pytest.mark.parametrize("page", pages())
def test_every_block_has_a_language(page: str) -> None:
    fences = re.findall(r"^ *```", (ROOT / page).read_text(), re.MULTILINE)
    assert len(fences) == 2 * len(blocks(page)), "a block without a language has no check"


@pytest.mark.parametrize("page", RUN_ELSEWHERE)
def test_every_page_that_another_test_runs_is_read_by_that_test(page: str) -> None:
    text = (ROOT / RUN_ELSEWHERE[page]).read_text()
    assert page in text or "guide()" in text


@pytest.mark.parametrize(
    "planted",
    [
        "wellbeing-sidecar explain --lable a=b",
        "make tset",
        "curl http://127.0.0.1:9477/v2/gate",
        "rm -rf x",
        "if true",
    ],
)
def test_a_planted_mistake_in_a_command_is_caught(tmp_path: Path, planted: str) -> None:
    with pytest.raises(AssertionError):
        shell(Block("a", "sh", f"{planted}\n"), tmp_path)


# -- blocks that run ---------------------------------------------------------------------------------------------


def test_python_blocks_that_need_a_sidecar_run(tmp_path: Path) -> None:
    needs_litellm = "docs/how-to/litellm.md"
    found = [one for page in PAGES if page != needs_litellm for one in blocks(page, "python")]
    assert len(found) >= 4
    runner = "import ast, asyncio, inspect, sys\ncode = compile(sys.stdin.read(), 'block', 'exec', flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)\n"
    runner += "made = eval(code)\nif inspect.isawaitable(made):\n    asyncio.run(made)\n"
    with Sidecar({}) as sidecar:
        for block in found:
            text = block.text.replace("http://127.0.0.1:9477", sidecar.url)
            call(sys.executable, "-c", runner, cwd=ROOT, text=text)
        assert sidecar.status("team-a/llama/agent-7")["state"] == "concerned"


def test_commands_that_call_a_sidecar_run(tmp_path: Path) -> None:
    page = "docs/how-to/from-watching-to-pausing.md"
    explain, reload = blocks(page, "sh")
    (config,) = blocks(page, "yaml")
    (tmp_path / "sidecar.yaml").write_text(config.text)
    url = f"http://127.0.0.1:{free_port()}"
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "WELLBEING_URL": url}
    command = [
        program("wellbeing-sidecar"),
        "serve",
        "--config",
        "sidecar.yaml",
        "--store",
        "memory:",
        "--listen",
        url.removeprefix("http://"),
    ]

    def paste(text: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", text.replace("http://127.0.0.1:9477", url)],
            check=False,
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.DEVNULL) as serving:
        try:
            paste(
                "curl -s --retry 50 --retry-delay 1 --retry-connrefused -o /dev/null http://127.0.0.1:9477/-/ready"
            )
            assert "team-a/llama" in paste(explain.text)
            paste(reload.text.replace("curl ", "curl -sf "))
            (gate,) = blocks("docs/reference/cli.md", "sh")
            assert paste(f"start-the-batch() {{ echo started; }}\n{gate.text}").endswith("started\n")
        finally:
            serving.terminate()
