"""Use cases, one file each, called by the command line, the public API and other programs. They print nothing."""
