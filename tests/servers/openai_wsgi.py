"""The same routes by Flask, gated by the WSGI middleware; for gunicorn."""

from __future__ import annotations

from flask import Flask, jsonify, request

from sidecar.client.wsgi import GateMiddleware

app = Flask(__name__)


@app.get("/health")
def health():
    return jsonify({})


@app.post("/v1/chat/completions")
def chat():
    body = request.get_json()
    text = body["messages"][-1]["content"]
    message = {"role": "assistant", "content": f"{len(text)} characters"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return jsonify(
        {"id": "1", "object": "chat.completion", "created": 0, "model": body["model"], "choices": [choice]}
    )


app.wsgi_app = GateMiddleware(app.wsgi_app)
