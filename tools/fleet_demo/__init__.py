"""The demo of the controller: two workers, five stacks, PostgreSQL, git and an emulated GPU machine."""
