"""Modules that the gate does not need are loaded on first use."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.web.lazy_load import LazyLoad


def test_it_is_made_once_for_all_who_ask() -> None:
    made = []

    async def ask() -> list[object]:
        late = LazyLoad(lambda: made.append(1) or object())
        late.load()
        return [*await asyncio.gather(late.get(), late.get()), await late.get()]

    first, *others = asyncio.run(ask())
    assert all(one is first for one in others)
    assert made == [1]


def test_what_could_not_be_loaded_is_tried_again() -> None:
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
