"""Frozen dataclasses that are created in half the time.

The ``__init__`` that `dataclasses` generates for a frozen class looks up each attribute by its name. For
a notification of a thousand alerts that took a fifth of the time. Here it sets the slots directly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from dataclasses import dataclass as value_class
else:
    T = TypeVar("T")

    def value_class(*, frozen: bool, slots: bool) -> Callable[[type[T]], type[T]]:
        """The same as `dataclasses.dataclass` with these arguments, which have to be True."""
        if not (frozen and slots):
            raise TypeError("a value class is frozen and has slots")

        def decorate(cls: type[T]) -> type[T]:
            made = dataclass(frozen=True, slots=True)(cls)
            made.__init__ = _init_of(made)
            return made

        return decorate


def _init_of(cls: type[Any]) -> Callable[..., None]:
    """A faster ``__init__`` with the behaviour of ``cls.__init__``."""
    own: Any = cls.__init__
    names: dict[str, Any] = {"_UNSET": object()}
    parameters, steps = ["self"], []
    for one in fields(cls):
        name = value = one.name
        names[f"_set_{name}"] = getattr(cls, name).__set__
        if one.default_factory is not MISSING:
            names[f"_make_{name}"] = one.default_factory
            parameters.append(f"{name}=_UNSET")
            value = f"_make_{name}() if {name} is _UNSET else {name}"
        elif one.default is not MISSING:
            names[f"_default_{name}"] = one.default
            parameters.append(f"{name}=_default_{name}")
        else:
            parameters.append(name)
        steps.append(f"_set_{name}(self, {value})")
    if hasattr(cls, "__post_init__"):
        steps.append("self.__post_init__()")
    source = f"def __init__({', '.join(parameters)}):\n " + "\n ".join(steps)
    exec(source, names)  # noqa: S102 - as `dataclasses` does; all names are those of the class
    made: Any = names["__init__"]
    made.__annotations__, made.__qualname__ = own.__annotations__, own.__qualname__
    made.__module__ = cls.__module__
    return made  # type: ignore[no-any-return] # it was made here


__all__ = ["value_class"]
