"""The config and its possible mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config import (
    Config,
    ConfigError,
    Listener,
    describe,
    describe_pausing,
    describe_restricting,
    describe_unused,
    load_config,
)
from sidecar.config.__main__ import rows
from sidecar.core.state import WellbeingState
from sidecar.durations import parse_duration

EXAMPLE = """\
listen: 127.0.0.1:9477
defaults:
  pause_on_distressed: true
policies:
  - match: team-a/llama
    max_pause_secs: 120
    resume_ramp_per_sec: 50
alerts:
  rules:
    - matchers: ['severity="critical"', 'alertname=~"Vllm.+"']
      state: distressed
      scope: [namespace, model_name, pod]
      reason: "{annotations.summary}"
  alert_ttl_secs: 18000
"""


def load(tmp_path: Path, text: str = "", environ: dict | None = None, **flags) -> Config:
    path = tmp_path / "sidecar.yaml"
    path.write_text(text)
    return load_config(path, environ or {}, flags)


def problems(tmp_path: Path, text: str = "", environ: dict | None = None, **flags) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, environ, **flags)
    return [problem.removeprefix(f"{tmp_path}/") for problem in caught.value.problems]


def test_problems_are_listed_in_the_order_of_the_lines(tmp_path: Path) -> None:
    text = "limits: {max_waiters: x}\nlog_level: loud\ndefaults: {max_pause_secs: -1}\nlisen: y\n"
    lines = [int(one.split(":")[1]) for one in problems(tmp_path, text)]
    assert lines == [1, 2, 3, 4]
    assert problems(tmp_path, text, {"WELLBEING_LOG_FORMAT": "x"})[-1].startswith("WELLBEING_LOG_FORMAT")


def test_an_empty_config_has_the_defaults() -> None:
    assert load_config(None, {}) == Config()


def test_an_example_has_the_expected_values(tmp_path: Path) -> None:
    config = load(tmp_path, EXAMPLE)
    assert config.policies.defaults.pause_on_distressed
    policy = config.policies.policy_for("team-a/llama/x")
    assert (policy.max_pause_secs, policy.resume_ramp_per_sec, policy.pause_on_distressed) == (120, 50, True)
    [rule] = config.alerts.rules.rules
    assert (rule.state, rule.scope) == (WellbeingState.DISTRESSED, ("namespace", "model_name", "pod"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("listen: 1\nlimit: 3", "sidecar.yaml:2: limit: no such key (did you mean limits?)"),
        ("defaults:\n  MAX_PAUSE_SECS: 3", "sidecar.yaml:2: defaults.MAX_PAUSE_SECS: no such key (did you mean max_pause_secs?)"),
        ("defaults:\n  max_pause_sec: 3", "sidecar.yaml:2: defaults.max_pause_sec: no such key (did you mean max_pause_secs?)"),
        ("defaults:\n  max_pause_secs: 5x", "sidecar.yaml:2: defaults.max_pause_secs: must be seconds, a number of at least 0, or a duration such as 90s, 5m, 1h30m, got '5x'"),
        ("defaults:\n  max_pause_secs: -5m", "sidecar.yaml:2: defaults.max_pause_secs: must be seconds, a number of at least 0, or a duration"),
        ("defaults:\n  max_pause_secs: -1", "sidecar.yaml:2: defaults.max_pause_secs: must be seconds, a number of at least 0, or a duration"),
        ("defaults:\n  max_pause_secs: true", "sidecar.yaml:2: defaults.max_pause_secs: must be seconds, a number of at least 0, or a duration such as 90s, 5m, 1h30m, got True"),
        ("defaults:\n  max_pause_secs: .nan", "sidecar.yaml:2: defaults.max_pause_secs: must be seconds, a number of at least 0, or a duration such as 90s, 5m, 1h30m, got nan"),
        ("scope_idle_secs: 0s", "sidecar.yaml:1: scope_idle_secs: must be above 0 seconds, got '0s'"),
        ("listen: ['127.0.0.1:80', '127.0.0.1:80']", "sidecar.yaml:1: listen: 127.0.0.1:80 is listed twice"),
        ("listen: unix:/" + "x" * 107, "sidecar.yaml:1: listen: the path of a Unix socket may have at most 107 bytes: shorten"),
        ("defaults:\n  enabled: 1", "sidecar.yaml:2: defaults.enabled: must be true or false, got 1"),
        ("defaults: 7", "sidecar.yaml:1: defaults: must be a mapping of keys to values"),
        ("policies:\n  - max_pause_secs: 1", "sidecar.yaml:2: policies[0].match: is missing"),
        ("policies:\n  - match: a//b", "sidecar.yaml:2: policies[0].match: 'a//b' is not a scope: segment 2 is empty"),
        ("policies: {}", "sidecar.yaml:1: policies: must be a list"),
        ("defaults:\n  max_pause_secs: 1\n  min_pause_secs: 2", "sidecar.yaml:1: defaults.min_pause_secs: must not be above max_pause_secs (1), got 2"),
        ("alerts:\n  rules:\n    - state: sad", "sidecar.yaml:3: alerts.rules[0].state: must be one of healthy, cautious, concerned, distressed, ignore, got 'sad'"),
        ("alerts:\n  rules:\n    - scope: []\n      state: distresed", "sidecar.yaml:4: alerts.rules[0].state: must be one of healthy, cautious, concerned, distressed, ignore, got 'distresed' (did you mean distressed?)"),
        ("defaults:\n  restrict:\n    concerned: 2\n    distresed: 1", "sidecar.yaml:4: defaults.restrict: distresed: no such key (did you mean distressed?)"),
        ("defaults:\n  restrict:\n    concerned: 2\n    distressed: -1", "sidecar.yaml:4: defaults.restrict: distressed: must be a number above 0"),
        ("time_intervals:\n  - name: n\n    time_intervals:\n      - years: ['2026']\n        wekdays: [monday]", "sidecar.yaml:5: time_intervals[0].time_intervals: wekdays: no such key (did you mean weekdays?)"),
        ("time_intervals:\n  - name: n\n    time_intervals:\n      - years: ['2026']\n        months: [smarch]", "sidecar.yaml:5: time_intervals[0].time_intervals: months: "),
        ("listen:\n  - 127.0.0.1:1\n  - address: 127.0.0.1:2\n    role: [worker]", "sidecar.yaml:4: listen: role: no such key (did you mean roles?)"),
        ("listen:\n  address: 127.0.0.1:2\n  x: 1", "sidecar.yaml:3: listen: x: no such key: the keys are address, roles, tls, mode"),
        ("alerts:\n  rules:\n    - state: ignore\n      matchers: ['a=~\"(\"']", "sidecar.yaml:4: alerts.rules[0].matchers: "),
        ("listen: ['127.0.0.1:99999']", "sidecar.yaml:1: listen: must be HOST:PORT, [V6]:PORT or unix:/path, got '127.0.0.1:99999'"),
        ("store: redus://x", "sidecar.yaml:1: store.url: must be memory:, sqlite:PATH or redis://HOST:PORT"),
        ("a: 1\na: 2", "sidecar.yaml:2: a: is set twice"),
        ("defaults: &d {max_pause_secs: x}\npolicies:\n  - {match: a, <<: *d}", "sidecar.yaml:1: policies[0].max_pause_secs: must be seconds"),
        ("defaults: {<<: 5}", "sidecar.yaml:1: <<: must be a mapping, or a list of mappings"),
        ("policies:\n  - &a {match: a}\n  - {<<: *a,\n     <<: *a}", "sidecar.yaml:4: <<: is set twice"),
        ("defaults: &d {<<: *d}", "sidecar.yaml:1: is nested too deeply, or an alias contains itself"),
        ("defaults: &d [*d]", "sidecar.yaml:1: is nested too deeply, or an alias contains itself"),
        ('redis: {password_file: "a\\0b"}', "sidecar.yaml:1: redis.password_file: must be text without NUL and unpaired surrogates"),
        ('alerts: {alertmanager: {username: "\\ud800"}}', "sidecar.yaml:1: alerts.alertmanager.username: must be text without NUL"),
        ("hooks:\n  - {name: a, url: 'http://a', format: grafana, tags: [\"\\0\"]}", "sidecar.yaml:2: hooks[0].tags: must be text without NUL"),
        ("defaults: {resume_ramp_per_sec: 1.0e+7}", "sidecar.yaml:1: defaults.resume_ramp_per_sec: must be a number from 0 to 1000000, got 10000000.0"),
        ("a: [1", "sidecar.yaml:1: not YAML"),
        ("- 1", "sidecar.yaml:1: must be a mapping of keys to values"),
        *(
            (f"alerts:\n  reconcile_secs: 60\n  alertmanager_urls: ['http://am:9093', 'http://b', '{twin}']", f"sidecar.yaml:3: alerts.alertmanager_urls: '{shown}' is listed twice")
            for twin, shown in [("http://am:9093", "http://am:9093"), ("http://am:9093/", "http://am:9093/"), ("http://me:S3@CRET@am:9093", "http://***@am:9093"), ("HTTP://AM:9093", "HTTP://AM:9093"), ("http://b:80", "http://b:80")]
        ),
        ("imports:\n  - name: x\n  - {scope: a, url: 'http://a', name: x}\n  - {scope: a, url: 'http://b', name: x}", "sidecar.yaml:4: imports[2]: another one is named a x"),
        ("engines:\n  - name: x\n  - {scope: a, kind: vllm, url: 'http://a', name: x}\n  - {scope: a, kind: vllm, url: 'http://b', name: x}", "sidecar.yaml:4: engines[2]: another one is named x"),
        ("auth:\n  credentials:\n    - token_env: A\n    - {name: x, roles: [viewer], token_env: A}\n    - {name: x, roles: [viewer], token_env: B}", "sidecar.yaml:5: auth.credentials[2]: another one is named x"),
        ("auth:\n  credentials:\n    - {name: x, roles: [viewer], username: u, password_bcrypt: $2b$10$iTnEz7IOJ.H7EPdo6XZ1kOwWyVcYsVsSpAAtos0R1l.OHM8is2hDi}\n    - {name: y, roles: [viewer], username: u, password_bcrypt: $2b$10$iTnEz7IOJ.H7EPdo6XZ1kOwWyVcYsVsSpAAtos0R1l.OHM8is2hDi}", "sidecar.yaml:4: auth.credentials[1].username: x has the same one"),
        ("auth:\n  credentials:\n    - {name: x, roles: [viewer], certificate: c}\n    - {name: y, roles: [worker], certificate: c}", "sidecar.yaml:4: auth.credentials[1].certificate: x has the same one"),
        *(
            (f"auth:\n  credentials:\n    - {{name: x, roles: [viewer], username: u, password_bcrypt: {wrong}}}", "sidecar.yaml:3: auth.credentials[0].password_bcrypt: must be a bcrypt hash with a cost from 04 to 16")
            for wrong in ("secret", f"$2b$03${'.' * 53}", f"$2b$17${'.' * 53}", f"$2b$10${'z' * 53}")
        ),
        ("limits:\n  max_waiters: 0", "sidecar.yaml:2: limits.max_waiters: must be a whole number of at least 1, got 0"),
    ],
)  # fmt: skip
def test_a_mistake_is_reported_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    assert any(one.startswith(problem) for one in problems(tmp_path, text)), problems(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "secs"),
    [
        ("0", 0), ("90", 90), ("1.5", 1.5), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("1d", 86_400),
        ("2w", 1_209_600), ("1y", 31_536_000), ("250ms", 0.25), ("1h0m30s500ms", 3630.5), (" 5m ", 300),
    ],
)  # fmt: skip
def test_a_duration_is_a_number_or_in_the_format_of_prometheus(text: str, secs: float) -> None:
    assert parse_duration(text) == secs


@pytest.mark.parametrize(
    "text",
    ["", " ", "5x", "m", "5 m", "1m1h", "5m5m", "-5m", "+5", "1.5h", "1e3", "nan", "inf", "٣", "٣m", "5mm", "1_0", "100y", "9" * 5000, "9" * 60 + "s"],
)  # fmt: skip
def test_the_error_for_an_invalid_duration_says_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="a number of at least 0, or a duration such as 90s, 5m, 1h30m"):
        parse_duration(text)


def test_a_duration_is_accepted_in_the_file_and_in_a_variable(tmp_path: Path) -> None:
    config = load(tmp_path, "scope_idle_secs: 1d", {"WELLBEING_DEFAULTS__MAX_PAUSE_SECS": "1h30m"})
    assert (config.scope_idle_secs, config.policies.defaults.max_pause_secs) == (86_400, 5_400)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nothing: pause_on_distressed is false everywhere"),
        ("policies: [{match: a}]", "nothing: pause_on_distressed is false everywhere"),
        ("defaults: {pause_on_distressed: true}", "every scope"),
        ("defaults: {pause_on_distressed: true}\npolicies: [{match: a, enabled: false}]", "every scope except a"),
        ("policies: [{match: a, pause_on_concerned: true}, {match: b}]", "a"),
        ("defaults: {pause_on_distressed: true, dry_run: true}", "nothing: dry_run is true wherever pause_on_distressed is true"),
        ("defaults: {pause_on_distressed: true, dry_run: true}\npolicies: [{match: a, dry_run: false}]", "a"),
        ("defaults: {pause_on_distressed: true, enabled: false}", "nothing: enabled is false wherever pause_on_distressed is true"),
    ],
)  # fmt: skip
def test_a_config_describes_what_it_may_pause(tmp_path: Path, text: str, said: str) -> None:
    assert describe_pausing(load(tmp_path, text).policies) == said


def test_policies_covered_by_an_earlier_policy_are_reported(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """\
policies:
  - match: team/one
  - match: team
    pause_on_concerned: true
  - match: team/one
    restrict: {concerned: 5}
  - match: team/two/x
    pause_on_distressed: true
  - match: other
  - match: teams
""",
    )
    said = [sentence.removeprefix(f"{tmp_path}/") for sentence in describe_unused(config)]
    assert [sentence.partition(":")[2] for sentence in said] == [
        "5: policies[2] (team/one) is never used: policies[0] (team/one) comes first and matches the same scopes",
        "7: policies[3] (team/two/x) is never used: policies[1] (team) comes first and matches the same scopes",
    ]
    assert describe_pausing(config.policies) == "team"
    assert describe_restricting(config.policies) == ""
    root_first = load(tmp_path, 'policies: [{match: ""}, {match: a, pause_on_distressed: true}]')
    assert describe_pausing(root_first.policies) == "nothing: pause_on_distressed is false everywhere"
    assert "policies[0] (the root) comes first" in describe_unused(root_first)[0]


def test_alert_rules_covered_by_an_earlier_rule_are_reported(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """\
alerts:
  rules:
    - {matchers: ['a="1"', 'b=~"x|y"'], state: distressed}
    - {matchers: ['a="1"'], state: distressed}
    - {matchers: ['b=~"x|y"', 'c!="2"', 'a="1"'], state: cautious}
    - {matchers: ['b="x"', 'c!="2"'], state: cautious}
    - {matchers: ['a=~"1"'], state: cautious}
    - {matchers: [], state: ignore}
    - {matchers: ['z="1"'], state: ignore}
""",
    )
    assert [sentence.partition(":")[2] for sentence in describe_unused(config)] == [
        "5: alerts.rules[2] is never used: alerts.rules[0] comes first and matches the same alerts",
        "9: alerts.rules[6] is never used: alerts.rules[5] comes first and matches the same alerts",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", ""),
        ("policies: [{match: a, restrict: {concerned: 5}}, {match: b}]", "a"),
        (
            "{defaults: {restrict: {concerned: 5}}, policies: [{match: b, dry_run: true}]}",
            "every scope except b",
        ),
        ("policies: [{match: a, restrict: {concerned: 5}, enabled: false}]", ""),
    ],
)
def test_a_config_describes_what_it_may_restrict(tmp_path: Path, text: str, said: str) -> None:
    assert describe_restricting(load(tmp_path, text).policies) == said


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    assert len(problems(tmp_path, "store: x\nlog_level: loud\nlisten: 5", {"WELLBEING_NONSENSE": "1"})) == 4


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read: No such file"):
        load_config(tmp_path / "nowhere.yaml", {})


def test_flags_override_the_environment_which_overrides_the_file(tmp_path: Path) -> None:
    text, environ = "log_level: error\nlog_format: json", {"WELLBEING_LOG_LEVEL": "warning"}
    assert load(tmp_path, text).log_level == "error"
    assert load(tmp_path, text, environ).log_level == "warning"
    config = load(tmp_path, text, environ, log_level="debug")
    assert (config.log_level, config.log_format) == ("debug", "json")
    assert problems(tmp_path, text, environ, log_level="loud")[0].startswith("--log-level: must be one of")


def test_the_store_memory_needs_quotes_in_a_file_only(tmp_path: Path) -> None:
    assert load_config(None, {"WELLBEING_STORE": "memory:"}).store.url == "memory:"
    path = tmp_path / "sidecar.yaml"
    path.write_text("store: memory:\n")
    with pytest.raises(ConfigError, match='quote text that contains a colon, such as "memory:"'):
        load_config(path, {})
    path.write_text('store: "memory:"\n')
    assert load_config(path, {}).store.url == "memory:"


def test_a_variable_that_is_wrong_is_named(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, "", {"WELLBEING_DEFAULTS__MAX_PAUSE_SECS": "soon"})
    assert problem.startswith("WELLBEING_DEFAULTS__MAX_PAUSE_SECS: defaults.max_pause_secs: must be seconds")
    [problem] = problems(tmp_path, "", {"WELLBEING_DEFAULTS__ENABLD": "true"})
    assert (
        problem == "WELLBEING_DEFAULTS__ENABLD: no such variable (did you mean WELLBEING_DEFAULTS__ENABLED?)"
    )


def test_variables_of_other_programs_are_ignored(tmp_path: Path) -> None:
    others = {
        "WELLBEING_URL": "x", "WELLBEING_CONFIG": "x", "WELLBEING_SIDECAR_SERVICE_HOST": "10.0.0.1",
        "WELLBEING_SIDECAR_PORT_9477_TCP_ADDR": "10.0.0.1", "WELLBEING_SIDECAR_PORT": "tcp://10.0.0.1:9477",
    }  # fmt: skip
    assert load(tmp_path, "", others) == Config()


@pytest.mark.parametrize("key", [key for key, *_ in describe() if "[]" not in key])
def test_every_key_is_also_a_variable(tmp_path: Path, key: str) -> None:
    default = {row[0]: row[2] for row in describe()}[key]
    value = yaml.safe_dump(list(default) if isinstance(default, tuple) else default, default_flow_style=True)
    name = "WELLBEING_" + key.upper().replace(".", "__")
    assert load(tmp_path, "", {name: value.replace("...", "").strip()}) == Config()


def test_every_key_is_documented() -> None:
    reference = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"
    assert rows() in reference.read_text(), "run `make docs`"


@pytest.mark.parametrize(("first", "form"), [("[x]", "[{}]"), ("{}", "{{<<: [{}]}}")])
def test_an_alias_bomb_is_refused(tmp_path: Path, first: str, form: str) -> None:
    bomb = f"a: &a {first}\n" + "".join(
        f"{name}: &{name} {form.format(','.join(['*' + before] * 10))}\n"
        for before, name in zip("abcdef", "bcdefg", strict=True)
    )
    assert "has more than" in problems(tmp_path, bomb)[0]


def test_merge_keys_take_the_keys_of_other_mappings(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """
        defaults: &defaults {pause_on_distressed: true, max_pause_secs: 7}
        policies:
          - &first {match: a, wait_timeout_secs: 3, deny_status: 429}
          - {<<: [*first, *defaults], match: b, max_pause_secs: 9}
        """,
    )
    policy = config.policies.policy_for("b")
    assert policy.pause_on_distressed
    assert (policy.max_pause_secs, policy.wait_timeout_secs, policy.deny_status) == (9, 3, 429)


@given(st.one_of(st.text(), st.dictionaries(st.sampled_from(["listen", "defaults", "policies", "alerts", "limits"]), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=6)).map(yaml.safe_dump)))  # fmt: skip
def test_any_text_is_a_config_or_a_config_error(tmp_path_factory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        load_config(path, {})
    except ConfigError as error:
        assert error.problems  # noqa: PT017 - it may be accepted as well


@pytest.mark.parametrize(
    ("address", "is_local"),
    [
        ("127.0.0.1:1", True),
        ("[::1]:1", True),
        ("[::ffff:127.0.0.1]:1", True),
        ("[::ffff:10.0.0.1]:1", False),
    ],
)
def test_only_loopback_is_local(address: str, is_local: bool) -> None:
    assert Listener(address).is_local is is_local


@pytest.mark.parametrize(
    ("environ", "read", "expected"),
    [
        ({"REDIS__PASSWORD": "a #b: c"}, lambda c: c.redis.password, "a #b: c"),
        ({"REDIS__PASSWORD": "0123"}, lambda c: c.redis.password, "0123"),
        ({"REDIS__PASSWORD": "@{yes"}, lambda c: c.redis.password, "@{yes"),
        ({"REDIS__PASSWORD": "'a\"'b'"}, lambda c: c.redis.password, "'a\"'b'"),
        ({"REDIS__PASSWORD": "'null'"}, lambda c: c.redis.password, "null"),
        ({"TLS__MIN_VERSION": "1.3", "TLS": "{cert_file: c, key_file: k}"}, lambda c: c.tls.min_version, "1.3"),
        ({"LISTEN": "[::1]:9477"}, lambda c: c.listen[0].address, "[::1]:9477"),
        ({"LISTEN": "['[::1]:9477', 'unix:/s']"}, lambda c: c.listen[1].address, "unix:/s"),
        ({"STORE": "{url: 'memory:', on_corrupt: quarantine}"}, lambda c: c.store.on_corrupt, "quarantine"),
        ({"STORE": "memory:", "STORE__ON_CORRUPT": "quarantine"}, lambda c: (c.store.url, c.store.on_corrupt), ("memory:", "quarantine")),
        ({"ALERTS__WATCHDOG": "{alertname: W, timeout_secs: 5m}"}, lambda c: c.alerts.watchdog.timeout_secs, 300.0),
        ({"ALERTS": "{watchdog: {alertname: W, grace_secs: 7}}", "ALERTS__WATCHDOG__ALERTNAME": "V"}, lambda c: (c.alerts.watchdog.alertname, c.alerts.watchdog.grace_secs), ("V", 7.0)),
        ({"DEFAULTS__RESTRICT": "{concerned: 20, distressed: 2}", "DEFAULTS__RESTRICT__DISTRESSED": "3"}, lambda c: dict(c.policies.defaults.restrict)[WellbeingState.DISTRESSED], 3.0),
        ({"DEFAULTS__RESUME_TRIAL": "{requests: 5}"}, lambda c: c.policies.defaults.resume_trial.requests, 5),
    ],
)  # fmt: skip
def test_a_variable_is_plain_text_or_yaml(environ, read, expected) -> None:
    assert (
        read(load_config(None, {f"WELLBEING_{name}": value for name, value in environ.items()})) == expected
    )


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"DEFAULTS__RESTRICT__CONCERND": "1"}, "WELLBEING_DEFAULTS__RESTRICT__CONCERND: defaults.restrict: concernd: no such key (did you mean concerned?)"),
        ({"DEFAULTS": "{dry_rn: true}"}, "WELLBEING_DEFAULTS: defaults.dry_rn: no such key (did you mean dry_run?)"),
        ({"DEFAULTS": "5", "DEFAULTS__DRY_RUN": "true"}, "WELLBEING_DEFAULTS__DRY_RUN: WELLBEING_DEFAULTS, which is also set, is not a mapping of keys to values"),
        ({"DEFAULTS__DRY_RUN__X": "true"}, "WELLBEING_DEFAULTS__DRY_RUN__X: no such variable (did you mean WELLBEING_DEFAULTS__DRY_RUN?)"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_variable_names_it(environ, problem) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(None, {f"WELLBEING_{name}": value for name, value in environ.items()})
    assert problem in error.value.problems
