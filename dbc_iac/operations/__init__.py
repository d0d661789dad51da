"""The use cases, one file each: what the command line, the public API and other programs call. Nothing is printed."""
