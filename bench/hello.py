"""The smallest Flask application. The sidecar's start and memory are compared with it."""

from flask import Flask

app = Flask(__name__)


@app.get("/")
def hello() -> str:
    """Return a greeting."""
    return "Hello, World!"
