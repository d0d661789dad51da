"""Operations commands: show running objects and act on them at once, by the names of the manifests or by raw ids.

They neither write the state nor converge. A change of a managed object is reported as drift.
`lookup` resolves names, `console` is the session of a command, `outcomes` turns results of calls into diagnostics; the
other modules have one command group each. They are loaded on use: see `cli.commands`.
"""
