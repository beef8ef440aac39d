"""Detects that another project's package ``sidecar`` has overwritten this one."""

import sidecar


def refuse_another_sidecar() -> None:
    """Raise `ImportError` if ``sidecar`` is another project's package that contains files of this one."""
    if getattr(sidecar, "DISTRIBUTION", None) != "wellbeing-sidecar":
        raise ImportError(
            f"{sidecar.__file__} belongs to another project with the same import name (PyPI's `sidecar`, a "
            "JupyterLab widget): uninstall it, then install wellbeing-sidecar again"
        )
