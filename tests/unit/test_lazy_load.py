"""Modules that the gate does not need are loaded on first use."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.web.lazy_load import LazyLoad


def test_the_value_is_loaded_once_for_all_callers() -> None:
    made = []

    async def ask() -> list[object]:
        late = LazyLoad(lambda: made.append(1) or object())
        late.load()
        return [*await asyncio.gather(late.get(), late.get()), await late.get()]

    first, *others = asyncio.run(ask())
    assert all(one is first for one in others)
    assert made == [1]


def test_a_failed_load_is_retried() -> None:
    tries = []

    def make() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("too many open files")
        return "there"

    async def ask() -> str:
        late = LazyLoad(make)
        with pytest.raises(OSError, match="too many open files"):
            await late.get()
        return await late.get()

    assert asyncio.run(ask()) == "there"
