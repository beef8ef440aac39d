"""Hooks: HTTP endpoints that receive events.

Data flows one way. `dispatcher` reads new entries of the durable history and puts their events into the
queue of each hook (`queue`). Each hook has its own task (`delivery`), which sends one event at a time by a
format (`formats`) and retries until the endpoint has it. How far each hook has come is stored, so that
delivery goes on after a restart.
"""
