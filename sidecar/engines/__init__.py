"""Other servers that the sidecar controls or polls: engines with their own pause API, and other controllers."""
