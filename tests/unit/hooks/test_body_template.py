"""Templates that a reload keeps, and what the sandbox refuses."""

from __future__ import annotations

import gc

import pytest

from sidecar.body_template import BodyTemplate, TemplateFailed


def test_a_reload_with_the_same_template_leaves_no_reference_cycles() -> None:
    BodyTemplate("{{ reason }} of the same hook").render({"reason": "x"})
    gc.collect()
    for _ in range(20):
        BodyTemplate("{{ reason }} of the same hook").render({"reason": "x"})
    assert gc.collect() == 0


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''|attr('__class__').__mro__ }}",
        "{{ '{0.__class__.__mro__}'.format(reason) }}",
        "{{ lipsum.__globals__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ data.update({'x': 1}) }}",
        "{{ range(10**9) | length }}",
        "{% include '/etc/passwd' %}",
    ],
)
def test_a_template_does_not_leave_the_sandbox(text: str) -> None:
    with pytest.raises(TemplateFailed):
        BodyTemplate(text).render({"reason": "x"})


def test_the_text_of_an_alert_is_never_a_template() -> None:
    text = "{{ 7 * 7 }} {% for a in range(9) %}x{% endfor %} {0.__class__}"
    assert BodyTemplate("{{ reason }}").render({"reason": text}).decode() == text
