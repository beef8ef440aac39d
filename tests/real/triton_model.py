"""A Triton with one model that doubles a number; started by test_triton.py: python triton_model.py PORT METRICS_PORT GRPC_PORT"""

from __future__ import annotations

import sys

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig


@batch
def double(number: np.ndarray) -> dict[str, np.ndarray]:
    """Return twice the number."""
    return {"double": 2 * number}


def main(port: int, metrics_port: int, grpc_port: int) -> None:
    """Serve until a signal stops the process."""
    config = TritonConfig(
        http_address="127.0.0.1",
        http_port=port,
        metrics_port=metrics_port,
        metrics_address="127.0.0.1",
        grpc_address="127.0.0.1",
        grpc_port=grpc_port,
        allow_gpu_metrics=False,
    )
    with Triton(config=config) as triton:
        triton.bind(
            model_name="m",
            infer_func=double,
            inputs=[Tensor(name="number", dtype=np.float32, shape=(1,))],
            outputs=[Tensor(name="double", dtype=np.float32, shape=(1,))],
            config=ModelConfig(max_batch_size=1),
        )
        triton.serve()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
