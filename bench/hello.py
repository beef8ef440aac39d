"""The least that Flask can serve: what the sidecar's start and memory are compared with."""

from flask import Flask

app = Flask(__name__)


@app.get("/")
def hello() -> str:
    """Greet."""
    return "Hello, World!"
