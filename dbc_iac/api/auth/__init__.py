"""Keys, key files, credentials and sessions."""
