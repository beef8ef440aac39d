"""The Celery application of `gated_celery` without its tasks, for programs that only send tasks."""

from __future__ import annotations

import os

from celery import Celery

folder = os.environ["CELERY_FOLDER"]
app = Celery("gated", broker="filesystem://", backend=f"file://{folder}/results")
app.conf.broker_transport_options = {
    "data_folder_in": f"{folder}/queue",
    "data_folder_out": f"{folder}/queue",
    "control_folder": f"{folder}/control",
}
app.conf.broker_connection_retry_on_startup = True
# Each process of the pool takes one task at a time, so all of them get some.
app.conf.worker_prefetch_multiplier = 1
