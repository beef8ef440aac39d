"""Other servers that the sidecar controls or polls: engines with a pause API, and other controllers."""
