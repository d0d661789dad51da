"""Safe reading and writing of files with untrusted names. Independent of manifests, state and commands."""
