"""Value classes behave like frozen dataclasses and are created faster."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from dataclasses import dataclass, field

import pytest

from sidecar.core.frozen import value_class
from sidecar.core.state import WellbeingState
from sidecar.core.values import ScopeRecord, Signal


@value_class(frozen=True, slots=True)
class Fast:
    """A value class with each kind of attribute."""

    first: str
    second: float | None = None
    more: list[int] = field(default_factory=list)
    kept: str = "x"

    def __post_init__(self) -> None:
        if self.first == "refused":
            raise ValueError(self.first)


@dataclass(frozen=True, slots=True)
class Plain:
    """The same as a dataclass."""

    first: str
    second: float | None = None
    more: list[int] = field(default_factory=list)
    kept: str = "x"


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [(("a",), {}), (("a", 1.0, [2], "y"), {}), ((), {"kept": "z", "first": "b"}), (("a",), {"more": []})],
)
def test_a_value_has_the_attributes_of_a_dataclass(args, kwargs) -> None:
    assert dataclasses.asdict(Fast(*args, **kwargs)) == dataclasses.asdict(Plain(*args, **kwargs))


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), (("a", 1, [], "", 5), {}), (("a",), {"first": "b"}), (("a",), {"no": 1})]
)
def test_wrong_arguments_are_refused_as_by_a_dataclass(args, kwargs) -> None:
    with pytest.raises(TypeError) as of_plain:
        Plain(*args, **kwargs)
    with pytest.raises(TypeError) as of_fast:
        Fast(*args, **kwargs)
    assert str(of_fast.value) == str(of_plain.value).replace("Plain", "Fast")


def test_values_are_immutable_and_do_not_share_defaults() -> None:
    one, other = Fast("a"), Fast("a")
    assert one == other
    assert one.more is not other.more
    for name in ("first", "kept", "new"):
        with pytest.raises((dataclasses.FrozenInstanceError, AttributeError, TypeError)):
            setattr(one, name, "b")
    assert one == other
    assert dataclasses.replace(one, second=3.0) == Fast("a", 3.0)
    assert repr(one) == repr(Plain("a")).replace("Plain", "Fast")


def test_the_checks_of_a_class_still_run() -> None:
    with pytest.raises(ValueError, match="refused"):
        Fast("refused")


def test_values_are_copied_pickled_and_hashed() -> None:
    signal = Signal("agent:a", WellbeingState.CAUTIOUS, "why", 1.0)
    for one in (copy.copy(signal), copy.deepcopy(signal), pickle.loads(pickle.dumps(signal))):
        assert one == signal
        assert hash(one) == hash(signal)
    assert ScopeRecord() == ScopeRecord()
    parameters = inspect.signature(Signal).parameters
    assert list(parameters) == [one.name for one in dataclasses.fields(Signal)]


@pytest.mark.parametrize("arguments", [{"frozen": False, "slots": True}, {"frozen": True, "slots": False}])
def test_other_kinds_of_classes_are_refused(arguments) -> None:
    with pytest.raises(TypeError):
        value_class(**arguments)
