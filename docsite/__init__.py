"""Builds the documentation site: its generated pages, and the hooks that MkDocs calls."""
