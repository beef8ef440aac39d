from __future__ import annotations

import pytest

from sidecar.backtest.templates import AlertData, InvalidTemplate, Template

DATA = AlertData({"pod": "llama-0", "namespace": "team-a"}, 0.25, {"cluster": "east"})


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("plain { text }", "plain { text }"),
        ("{{ $labels.pod }}", "llama-0"),
        ("{{$labels.pod}}/{{ .Labels.namespace }}", "llama-0/team-a"),
        ("{{ $labels.missing }}", ""),
        ("{{ $value }} {{ .Value }}", "0.25 0.25"),
        ("{{ $value | humanizePercentage }}", "25%"),
        ("{{ humanize .Value }}", "250m"),
        ("{{ humanizeDuration $value }}", "250ms"),
        ('{{ printf "%.1f%% of %s" $value $labels.pod }}', "0.2% of llama-0"),
        ('{{ $value | printf "%.3f" }}', "0.250"),
        ("{{ $labels.pod | toUpper }}", "LLAMA-0"),
        (r'{{ reReplaceAll "^/+|/+$" "" "//models/m/" }}', "models/m"),
        (r'{{ reReplaceAll "(.*)-(.*)" "$2:${1}\\" $labels.pod }}', "0:llama\\"),
        ('{{ $labels.namespace | reReplaceAll "team" "crew" }}', "crew-a"),
        ("{{ $externalLabels.cluster }}", "east"),
        ("{{ with $labels.namespace }}{{ . }}/{{ end }}x", "team-a/x"),
        ("{{ with $labels.missing }}{{ . }}/{{ end }}x", "x"),
        ("{{ with $labels.missing }}{{ . }}{{ else }}{{ $labels.pod }}{{ end }}", "llama-0"),
        ("{{ if $labels.missing }}a{{ else if $labels.pod }}b{{ else }}c{{ end }}", "b"),
        ("a {{- $labels.pod -}}  b", "allama-0b"),
        ("{{/* a comment */}}x", "x"),
        ('{{ "{{" }} {{ `q` }}', "{{ q"),
    ],
)
def test_templates_are_expanded_as_in_prometheus(text: str, filled: str) -> None:
    assert Template.parse(text).fill(DATA) == filled


@pytest.mark.parametrize(
    "text",
    [
        '{{ query "up" }}', '{{ with query "up" }}{{ . | first | value }}{{ end }}', "{{ range $labels }}x{{ end }}",
        "{{ $labels }}", "{{ $x := 1 }}", "{{ .Foo }}", "{{ $value | }}", "{{ }}", "{{ tableLink `a` }}",
        "{{ if $labels.pod }}x", "{{ end }}", "{{ else }}", "{{ $labels.pod", '{{ printf "%d" $value }}',
        '{{ printf "%s" }}', "{{ $labels.pod $labels.pod }}", "{{ $labels.pod | $value }}", "{{ humanize }}",
        "{{ ($value) }}", "{{ if $value }}{{ else nonsense }}{{ end }}",
    ],
)  # fmt: skip
def test_an_unsupported_form_is_refused_and_not_guessed(text: str) -> None:
    with pytest.raises(InvalidTemplate) as error:
        Template.parse(text)
    assert "\n" not in str(error.value)


def test_the_error_names_the_unsupported_action() -> None:
    with pytest.raises(InvalidTemplate, match=r'\{\{ query "up" \}\} cannot be filled in'):
        Template.parse('a {{ query "up" }}')


@pytest.mark.parametrize(
    ("text", "uses"),
    [("{{ $value }}", True), ("{{ $labels.a }}", False), ("{{ if .Value }}x{{ end }}", True)],
)
def test_a_template_knows_whether_it_contains_the_value(text: str, uses: bool) -> None:
    assert Template.parse(text).uses_value is uses


def test_a_label_that_is_not_a_number_is_not_humanized() -> None:
    with pytest.raises(InvalidTemplate, match="is not a number"):
        Template.parse("{{ humanize $labels.pod }}").fill(DATA)


def test_a_label_with_braces_is_not_expanded_again() -> None:
    data = AlertData({"a": "{{ $value }}"}, 1.0, {})
    assert Template.parse("{{ $labels.a }}").fill(data) == "{{ $value }}"
