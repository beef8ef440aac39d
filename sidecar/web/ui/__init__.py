"""The status page: what is paused, why and until when, and forms to pause and resume."""
