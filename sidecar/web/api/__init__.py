"""The API: what each route takes and answers, and its OpenAPI description."""
