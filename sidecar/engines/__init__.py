"""Other servers that the sidecar controls or polls: engines with a pause of their own, other controllers."""
