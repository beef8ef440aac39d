"""The HTTP server: gunicorn's worker, the gate protocol, the Flask API."""
