"""The kinds: rules of their fields, and their goals one by one."""
