"""What it takes to run the sidecar in containers and on Kubernetes."""
