"""Functions whose calls wait at a gate: what `Gate.guard` returns."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, ParamSpec, Protocol, TypeVar, cast

_P = ParamSpec("_P")
_T = TypeVar("_T")


class _Admission(AbstractContextManager[Any], AbstractAsyncContextManager[Any], Protocol):
    """What `Gate.admitted` returns."""


def guarded(function: Callable[_P, _T], admitted: Callable[[], _Admission]) -> Callable[_P, _T]:
    """Wrap ``function`` so that each call runs inside ``admitted()``.

    Functions, coroutine functions, generator functions and asynchronous generator functions keep their kind.
    A generator waits when its first item is requested.
    """
    kind = _kind_of(function)
    call = cast("Callable[..., Any]", function)

    if kind == "asynchronous generator":

        @functools.wraps(function)
        async def generate_async(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:  # noqa: ANN401
            async with admitted():
                items = call(*args, **kwargs)
                try:
                    sent = None
                    while True:
                        try:
                            item = await items.asend(sent)
                        except StopAsyncIteration:
                            return
                        sent = yield item
                finally:
                    await items.aclose()

        return cast("Callable[_P, _T]", generate_async)

    if kind == "coroutine":

        @functools.wraps(function)
        async def run_async(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            async with admitted():
                return await call(*args, **kwargs)

        return cast("Callable[_P, _T]", run_async)

    if kind == "generator":

        @functools.wraps(function)
        def generate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:  # noqa: ANN401
            with admitted():
                return (yield from call(*args, **kwargs))

        return cast("Callable[_P, _T]", generate)

    @functools.wraps(function)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with admitted():
            return function(*args, **kwargs)

    return run


def _kind_of(function: Callable[..., Any]) -> str:
    for one in (function, getattr(function, "__call__", None)):  # noqa: B004 - an object with an async __call__
        if inspect.isasyncgenfunction(one):
            return "asynchronous generator"
        if inspect.iscoroutinefunction(one):
            return "coroutine"
        if inspect.isgeneratorfunction(one):
            return "generator"
    return "function"
