"""Reports: plans, events and state as text and JSON. Never a secret: what comes in holds none."""
