"""Prints what a package needs with an extra, except for some: python requirements_of.py PACKAGE EXTRA [NOT...]."""

from __future__ import annotations

import sys
from importlib.metadata import requires

from pip._vendor.packaging.requirements import Requirement


def main(package: str, extra: str, *left_out: str) -> None:
    """Print the requirements, a line each."""
    for one in map(Requirement, requires(package) or ()):
        if one.name not in left_out and (one.marker is None or one.marker.evaluate({"extra": extra})):
            one.marker = None
            print(one)


if __name__ == "__main__":
    main(*sys.argv[1:])
