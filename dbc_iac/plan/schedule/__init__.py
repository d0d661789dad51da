"""From changes to ordered steps."""
