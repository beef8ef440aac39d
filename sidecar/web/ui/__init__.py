"""The status page: what is paused, why and until when, and what an operator can do about it."""
