"""Reading and writing files whose names come from somebody else. Knows no manifest, no state and no command."""
