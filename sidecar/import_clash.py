"""Notices that another project's package ``sidecar`` has overwritten this one's."""

import sidecar


def refuse_another_sidecar() -> None:
    """Raise `ImportError` where ``sidecar`` is another project's package with this one's files in it."""
    if getattr(sidecar, "DISTRIBUTION", None) != "wellbeing-sidecar":
        raise ImportError(
            f"{sidecar.__file__} belongs to another project with the same import name (PyPI's `sidecar`, a "
            "JupyterLab widget): uninstall it, then install wellbeing-sidecar again"
        )
