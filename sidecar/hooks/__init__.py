"""Hooks: HTTP endpoints that receive events.

Data flows one way. `dispatcher` reads new entries of the durable history and puts their events into the
queue of each hook (`queue`). Each hook has its own task (`delivery`), which sends one event at a time in a
format (`formats`) and retries until the endpoint has accepted it. The position of each hook is stored, so
that delivery continues after a restart.
"""
