"""Where a state can be kept: places that read, write if unchanged, lock, and append to a journal."""
