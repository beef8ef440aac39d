"""The config of hooks: each mistake is named with its line, and no secret is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.config import ConfigError, load_config

GOOD = "name: h\n    url: https://hook.example/x?key=1"


def load(tmp_path: Path, text: str) -> object:
    (tmp_path / "c.yaml").write_text(f"hooks:\n  - {text}\n")
    return load_config(tmp_path / "c.yaml", {})


def test_a_hook_has_defaults(tmp_path: Path) -> None:
    [hook] = load(tmp_path, GOOD).hooks
    assert (hook.format, hook.timeout_secs, hook.scope) == ("cloudevents", 10.0, "")
    assert "pause" in hook.events
    assert "key=1" not in repr(hook)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("url: http://x", "hooks[0].name: is missing"),
        ("name: h", "needs url or url_file"),
        ("name: h\n    url: http://x\n    url_file: y", "needs url or url_file"),
        ("name: ''\n    url: http://x", "must be a name"),
        ("name: h\n    url: ftp://s3cret", "must be http://"),
        ("name: h\n    url: http://u:s3cret@x", "must be http://"),
        ("name: h\n    url: http://x/#s3cret", "must be http://"),
        ("name: h\n    url: http://x:99999/s3cret", "must be http://"),
        (GOOD + "\n    events: [puase]", "did you mean pause?"),
        (GOOD + "\n    events: []", "must name at least one of pause"),
        (GOOD + "\n    event: [pause]", "did you mean events?"),
        (GOOD + "\n    format: slak", "must be one of cloudevents"),
        (GOOD + "\n    format: template", "template: is missing"),
        (GOOD + "\n    format: template\n    template: '{{ reasn }}'", "'reasn' is undefined"),
        (GOOD + "\n    format: template\n    template: '{{ reason'", "template: line 1:"),
        (GOOD + '\n    format: template\n    template: \'{"a": "{{ reason }}"}\'', "tojson"),
        (GOOD + "\n    format: template\n    template: \"{{ ''.__class__.__mro__ }}\"", "unsafe"),
        (GOOD + "\n    template: x", "needs format: template"),
        (GOOD + "\n    headers: {Host: x}", "Host cannot be set"),
        (GOOD + '\n    headers: {X-Key: "s3cret\\nx"}', "X-Key: must be printable"),
        (GOOD + "\n    headers: {X-Key: 1}", "numbers in quotes"),
        (GOOD + "\n    username: me", "username and password_file"),
        (GOOD + "\n    headers: {authorization: x}\n    token_file: t", "is set by token_file"),
        (GOOD + "\n    max_pending: 0", "at least 1"),
        (GOOD + f"\n  - {GOOD}", "another one is named h"),
        (GOOD + "\n    scope: a//b", "scope"),
    ],
)
def test_a_mistake_is_reported_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert problem in str(caught.value)
    assert "c.yaml:" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "template",
    [
        "plain {{ reason }}",
        '{"a": {{ reason | tojson }}, "all": {{ data | tojson }}, "end": {{ until | tojson }}}',
        "{% if event == 'pause' %}{}{% else %}[]{% endif %}",
    ],
)
def test_a_valid_template_is_accepted(tmp_path: Path, template: str) -> None:
    kind = "text/plain" if template.startswith("plain") else "application/json"
    [hook] = load(
        tmp_path,
        GOOD
        + f"\n    format: template\n    content_type: {kind}\n    template: '{template.replace(chr(39), chr(39) * 2)}'",
    ).hooks
    assert hook.template == template
