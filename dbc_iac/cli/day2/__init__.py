"""Day-2 commands: looking at what runs, and the things one does by hand. They leave the state alone.

`scope` finds what a name means, `answers` turns outcomes into values or problems; the rest is one file a noun or two.
They are loaded when they are used: see `cli.lazy`.
"""
