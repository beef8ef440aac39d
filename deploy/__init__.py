"""Programs that write the generated files for images, Kubernetes, Helm and releases."""
