"""The wellbeing sidecar: monitors the wellbeing of an agent or a model, and gates its inference."""

__version__ = "0.2.0"
DISTRIBUTION = "wellbeing-sidecar"
"""The name of the package on an index. PyPI's ``sidecar`` is another project with the same import name."""


def __getattr__(name: str) -> object:
    if name == "Sidecar":
        # Names of PyPI's package `sidecar`.
        raise ImportError(
            "this `sidecar` is wellbeing-sidecar, not the JupyterLab widget: both packages have the same "
            "import name; install them into different environments"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
