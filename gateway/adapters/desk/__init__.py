"""The desk over HTTP: /api, in JSON, with its OpenAPI description."""
