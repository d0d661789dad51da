"""Renames: what is bound to one address is given to another. Pure; the object itself is not touched."""

from __future__ import annotations

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.kinds import kind_of
from dbc_iac.state.document import Binding, State


def moved(state: State, source: str, destination: str) -> State:
    """The state with one address renamed, and all that refers to it. Raises DiagnosticError.

    Ids are derived from addresses: the object keeps the one that it has, and a later one is made of the new address,
    in a generation that neither has used.
    """
    binding = state.bindings.get(source)
    if binding is None:
        raise _problem(f"{source} is not in the state", "See `dbc-iac state list`.")
    if destination in state.bindings:
        raise _problem(f"{destination} is in the state already", f"It is bound to {state.bindings[destination].id}.")
    if source.partition("/")[0] != destination.partition("/")[0]:
        raise _problem(f"{source} cannot become {destination}", "A resource keeps its kind.")
    bindings = {
        (destination if a == source else a): _renamed(b, source, destination) for a, b in state.bindings.items()
    }
    generation = max(state.generations.get(source, 0), state.generations.get(destination, 0), binding.generation)
    pending = tuple(i.model_copy(update={"address": destination}) if i.address == source else i for i in state.pending)
    generations = {a: g for a, g in state.generations.items() if a != source} | {destination: generation}
    return state.model_copy(update={"bindings": bindings, "generations": generations, "pending": pending})


def _renamed(binding: Binding, source: str, destination: str) -> Binding:
    def name(address: str) -> str:
        return destination if address == source else address

    kind, _, old = source.partition("/")
    applied = dict(binding.applied)
    for field in kind_of(binding.kind).fields:
        reference = field.reference
        if reference is not None and reference.kind == kind and applied.get(field.path) == old:
            applied[field.path] = destination.partition("/")[2]
    return binding.model_copy(
        update={
            "applied": applied,
            "address": name(binding.address),
            "holder": name(binding.holder),
            "dependencies": tuple(name(d) for d in binding.dependencies),
        }
    )


def _problem(summary: str, remedy: str) -> DiagnosticError:
    return DiagnosticError(
        Diagnostic("cannot-move", Severity.ERROR, summary, remedy=remedy, exit_code=ExitCode.REFUSED)
    )
