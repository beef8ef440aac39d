"""Checks that the entries of a list have different names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def require_unique_names(
    key: str, checked: list[dict[str, Any]], names: Mapping[int, str], problems: list[str]
) -> None:
    """Report each name that an earlier entry has.

    Args:
        key: the key of the list.
        checked: the checked entries; the key ``""`` has the location.
        names: names by index; incomplete entries have none.
        problems: problems are added here.
    """
    used: set[str] = set()
    for index, name in names.items():
        if name in used:
            problems.append(
                f"{checked[index]['']}: {key}[{index}]: another one is named {name}; set a unique name"
            )
        used.add(name)
