"""Words of Terraform, kubectl and Pulumi that users type: their equivalent here, or one line of advice."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence

from dbc_iac.diagnostics import DiagnosticError, failure

ALIASES: Mapping[str, str] = {
    "--out": "-o",
    "--output": "-o",
    "--chdir": "-C",
    "--env": "-e",
    "-y": "--yes",
    "--auto-approve": "--yes",
    "-V": "--version",
}
"""Options with another name here. A command that has an option of the typed name keeps it."""

WITHOUT_EFFECT = frozenset({"fmt --recursive", "init --upgrade"})
"""Options that request what the command does anyway."""

OPTION_ADVICE: Mapping[str, str] = {
    "--refresh-only": "Use `dbc-iac drift` to show drift; a plan always refreshes.",
    "--parallelism": "Set `maxInFlight` of a client in the project file; independent changes run concurrently.",
    "--lock": "Leave it out: a run always locks the state. Use `--lock-timeout 60s` to wait for it.",
    "--compact-warnings": "Leave it out: similar warnings are grouped.",
    "--state-out": "Use `dbc-iac state pull -o FILE` for a copy of the state.",
    "--backup": "Leave it out: the backend keeps earlier versions of the state.",
    "--migrate-state": "Use `dbc-iac state migrate FROM project`.",
    "--reconfigure": "Edit `state` in the project file.",
    "--backend-config": "Edit `state` in the project file.",
    "--generate-config-out": "Use `dbc-iac import --all --generate DIR`.",
    "--all-namespaces": "Use `dbc-iac stack list` for the stacks of the project.",
    "--namespace": "Use `dbc-iac --stack NAME COMMAND`.",
    "--dry-run": "Use `dbc-iac plan`.",
    "--diff": "Use `dbc-iac plan`.",
    "--force": "Use `dbc-iac apply --replace ADDRESS` to replace a resource.",
    "--watch": "Use `dbc-iac apply`, which shows progress until all changes are done.",
    "apply -f": "Use `dbc-iac apply`: it reads the manifests of the project. `--target ADDRESS` selects one resource.",
    "apply --filename": "Use `dbc-iac apply`, which reads all manifests; `--target ADDRESS` selects one resource.",
    "apply -k": "Use `dbc-iac -e ENVIRONMENT apply`.",
    "-o yaml": "Use `--json`.",
    "-o json": "Use `--json`.",
    "-o wide": "Use `--json`.",
    "-o name": "Use `--json`.",
}
"""Options that do not exist here, of all commands or of one; for `-o`, with a value that is a format elsewhere."""

COMMAND_ADVICE: Mapping[str, str] = {
    "refresh": "Use `dbc-iac drift`; every plan reads the API.",
    "taint": "Use `dbc-iac plan --replace ADDRESS`.",
    "untaint": "Leave out `--replace`: no resource is marked in the state.",
    "workspace": "Use `dbc-iac stack list`.",
    "workspace list": "Use `dbc-iac stack list`.",
    "workspace show": "Use `dbc-iac stack list`; `--stack NAME` selects one.",
    "workspace new": "Use `dbc-iac --stack NAME apply`: the first apply creates the stack.",
    "workspace select": "Use `dbc-iac --stack NAME COMMAND`, or name the stack of an environment in the project file.",
    "workspace delete": "Use `dbc-iac --stack NAME destroy`.",
    "force-unlock": "Use `dbc-iac state unlock`.",
    "providers": "Edit `clients` in the project file: dbc-iac has no plugins.",
    "login": "Use `dbc-iac wallet new --out FILE`, and name the key under `identities` in the project file.",
    "logout": "Remove the key from `identities` in the project file.",
    "get": "Use `dbc-iac state list`, `dbc-iac vm list` or `dbc-iac node list`.",
    "get vm": "Use `dbc-iac vm list`.",
    "get vms": "Use `dbc-iac vm list`.",
    "get node": "Use `dbc-iac node list`.",
    "get nodes": "Use `dbc-iac node list`.",
    "describe": "Use `dbc-iac state show ADDRESS`, or `dbc-iac vm show NAME`.",
    "delete": "Use `dbc-iac destroy --target ADDRESS`, or remove the manifest and apply.",
    "logs": "Use `dbc-iac vm logs NAME`.",
    "ssh": "Use `dbc-iac vm ssh NAME`.",
    "exec": "Use `dbc-iac vm ssh NAME -- COMMAND`.",
    "start": "Use `dbc-iac vm start NAME`.",
    "stop": "Use `dbc-iac vm stop NAME`.",
    "restart": "Use `dbc-iac vm restart NAME`.",
    "diff": "Use `dbc-iac plan`.",
    "preview": "Use `dbc-iac plan`.",
    "up": "Use `dbc-iac apply`.",
    "down": "Use `dbc-iac destroy`.",
    "lint": "Use `dbc-iac validate`.",
    "format": "Use `dbc-iac fmt`.",
    "cancel": "Press Ctrl-C in the run that applies; `dbc-iac state unlock` breaks the lock of one that has ended.",
    "config": "Edit the project file, dbc-iac.yaml.",
    "test": "Use `dbc-iac validate`; policies have test cases in `examples/policies.yaml`.",
    "modules": "Use `forEach` and variables in the manifests: there are no modules.",
    "stack": "Use `dbc-iac stack list`.",
    **dict.fromkeys(
        ("image delete", "image rm", "image remove"),
        "Set `retain: false` in the manifest and apply; then remove the manifest and apply.",
    ),
    "stack new": "Use `dbc-iac --stack NAME apply`: the first apply creates the stack.",
    "stack rm": "Use `dbc-iac --stack NAME destroy`.",
    "stack delete": "Use `dbc-iac --stack NAME destroy`.",
    "stack select": "Use `dbc-iac --stack NAME COMMAND`, or name the stack of an environment in the project file.",
    "stack init": "Use `dbc-iac --stack NAME apply`: the first apply creates the stack.",
    "state replace-provider": "Edit `clients` in the project file: a state names no client node.",
}
"""Commands that do not exist here."""

_SYNONYMS = {"ls": "list", "get": "list", "describe": "show"}
"""Commands of every group that has the other one."""

_CHANGES: Mapping[str, str] = {
    **dict.fromkeys(("create", "new", "add"), "Write a manifest, then use `dbc-iac apply`."),
    **dict.fromkeys(("edit", "update", "modify"), "Edit the manifest, then use `dbc-iac apply`."),
    **dict.fromkeys(("delete", "rm", "remove"), "Remove the manifest, then use `dbc-iac apply`."),
}
"""Commands of other tools that are changes of manifests here."""

SIMILAR = 0.7
"""Least similarity of a suggestion: `ls` is not `logs`."""

_FORMATS = frozenset(key.removeprefix("-o ") for key in OPTION_ADVICE if key.startswith("-o "))


def familiar(path: str, known: set[str], word: str, following: Sequence[str]) -> Iterator[str]:
    """An option of the command `path` with the name that it has here: `-out=x` is `-o x`. `following`: words after it.

    Raises DiagnosticError with advice for an option that does not exist here.
    """
    name, equals, value = word.partition("=")
    typed = name if name.startswith("--") or len(name) == 2 else f"-{name}"
    ours = typed if typed in known else ALIASES.get(typed, typed)
    if ours == "-o" and (form := value or next(iter(following), "")) in _FORMATS:
        raise _advice(f"{path}: {name} names a file, not a format", OPTION_ADVICE[f"-o {form}"])
    if ours in known:
        yield from (ours, value) if equals and len(ours) == 2 else (ours + equals + value,)
    elif f"{path} {typed}" not in WITHOUT_EFFECT:
        advice = OPTION_ADVICE.get(f"{path} {typed}") or OPTION_ADVICE.get(typed)
        if advice is not None:
            raise _advice(f"{path} has no option {name}", advice)
        yield word


def unknown_command(path: str, typed: Sequence[str], known: Collection[str], *, manifests: bool) -> DiagnosticError:
    """The error for a command that does not exist in the group `path`, with the command to use instead.

    `manifests`: the group is about objects that have manifests.
    """
    name = " ".join((path, typed[0])).strip()
    below = " ".join((name, *typed[1:2]))
    advice = COMMAND_ADVICE.get(below) or COMMAND_ADVICE.get(name)
    if advice is None and manifests:
        advice = _CHANGES.get(typed[0])
    if advice is None and (synonym := _SYNONYMS.get(typed[0])) in known:
        advice = f"Use `dbc-iac {path} {synonym}`."
    if advice is None:
        close = difflib.get_close_matches(typed[0], [*known], 1, cutoff=SIMILAR)
        advice = f"Did you mean {close[0]}?" if close else f"See `{' '.join(('dbc-iac', path)).strip()} --help`."
    return _advice(f"there is no command {name[:40]}", advice)


def _advice(summary: str, remedy: str) -> DiagnosticError:
    return failure("usage", summary, remedy=remedy)
