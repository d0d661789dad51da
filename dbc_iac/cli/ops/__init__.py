"""Day-2 commands: looking at what runs, and acting on it at once, by the names of the manifests or by raw ids.

They keep no state and converge nothing. What they change of something that a manifest manages is told as drift.
`names` finds what a name means, `console` is what a command works with, `ends` says how a call ended; the rest is a
file a noun. They are loaded when they are used: see `cli.lazy`.
"""
