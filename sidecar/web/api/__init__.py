"""The API: the routes, their request bodies and responses, and the OpenAPI description."""
