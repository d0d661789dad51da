"""Output for pull requests and job summaries."""
