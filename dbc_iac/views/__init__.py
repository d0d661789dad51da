"""Output formats of plans, events, reports and state: text, Markdown, HTML and JSON. Inputs hold no secrets."""
