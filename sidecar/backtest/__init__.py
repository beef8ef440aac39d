"""The backtest: runs past alerts through the rules, policies and core of the sidecar.

Data flows one way. `alerts_series` and `rule_evaluation` ask Prometheus (`prometheus`) and give periods in
which alerts fired. `alertmanager_delays` makes notifications of them, as Alertmanager would have sent them.
`simulation` gives these to the same interpreter and core as in service, by a simulated clock. `summary`
counts, and the `report_…` modules print.
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
