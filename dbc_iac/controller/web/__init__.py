"""The HTTP server of a worker: page, health, metrics and webhooks."""
