"""The sidecar on the wire: gunicorn's worker, the gate protocol, the Flask API."""
