"""The backtest: runs past alerts through the rules, policies and core of the sidecar.

Data flows one way. `alerts_series` and `rule_evaluation` query Prometheus (`prometheus`) and return the
periods in which alerts fired. `alertmanager_delays` converts them to notifications, as Alertmanager would
have sent them. `simulation` passes these to the interpreter and core of the running sidecar, with a simulated
clock. `summary` counts, and the `report_…` modules print.
"""

from .errors import BacktestError
from .request import AlertmanagerSettings, BacktestRequest, NamedConfig
from .run import run_backtest
from .summary import BacktestReport

__all__ = [
    "AlertmanagerSettings",
    "BacktestError",
    "BacktestReport",
    "BacktestRequest",
    "NamedConfig",
    "run_backtest",
]
