"""SGLang's main without a model. tests/real/test_sources.py checks the parts that the launcher needs."""

from __future__ import annotations

import argparse
import sys

if __name__ == "__main__":
    from sglang.srt.entrypoints.http_server import launch_server

    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--tokenizer-worker-num", type=int, default=1)
    options = parser.parse_args(sys.argv[1:])
    launch_server(options.port, options.tokenizer_worker_num)
