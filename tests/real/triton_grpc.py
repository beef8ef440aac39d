"""Asks a Triton for twice 21 over gRPC, and prints the answer or the status; started by test_triton.py: python triton_grpc.py ADDRESS"""

from __future__ import annotations

import sys

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException


def main(address: str) -> None:
    """Print the answer, or the status and the details of a refusal."""
    number = InferInput("number", [1, 1], "FP32")
    number.set_data_from_numpy(np.array([[21]], dtype=np.float32))
    try:
        answer = InferenceServerClient(address).infer("m", [number], client_timeout=120)
    except InferenceServerException as error:
        print(error.status(), error.message())
    else:
        print(float(answer.as_numpy("double")[0, 0]))


if __name__ == "__main__":
    main(sys.argv[1])
