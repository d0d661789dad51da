"""The HTTP server of a worker: health, metrics and webhooks."""
