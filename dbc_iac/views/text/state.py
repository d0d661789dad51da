"""The state as text: one line per resource, or all values of a resource. A state holds no secrets."""

from __future__ import annotations

from collections.abc import Iterator

from dbc_iac.state.document import Binding, PendingOperation, State
from dbc_iac.views.text.fields import value_text
from dbc_iac.views.text.lines import Line, Tone

EMPTY = Line("The state is empty.")


def state_lines(state: State, *, applying: bool) -> Iterator[Line]:
    """One line per binding (address, id, node), then the pending operations. `applying`: an apply is running."""
    if not state.bindings and not state.open:
        yield EMPTY
    width = max((len(a) for a in state.bindings), default=0)
    for address, binding in sorted(state.bindings.items()):
        yield Line(f"{address:<{width}}  {binding.id}  ({binding.route.get('name', '')})")
    yield from _open_lines(state.open, applying=applying)


def state_pages(state: State, *, applying: bool = False) -> Iterator[Line]:
    """All values of all bindings, then the pending operations. `applying`: an apply is running."""
    if not state.bindings and not state.open:
        yield EMPTY
    for number, (_, binding) in enumerate(sorted(state.bindings.items())):
        if number:
            yield Line()
        yield from binding_lines(binding)
    yield from _open_lines(state.open, applying=applying)


def binding_lines(binding: Binding) -> Iterator[Line]:
    """All values of one binding."""
    yield Line(binding.address, Tone.HEAD)
    yield Line(f"  id: {binding.id}")
    yield Line(f"  generation: {binding.generation}")
    yield Line(f"  route: {binding.route.get('name', '')} ({binding.route.get('target', '')})")
    yield Line(f"  protected: {value_text(binding.protected)}")
    if binding.parent:
        yield Line(f"  parent: {binding.parent}")
    for path, value in {**binding.applied, **binding.resolved}.items():
        doubt = " (unknown outcome)" if path in binding.uncertain else ""
        yield Line(f"  {path}: {value_text(value)}{doubt}", Tone.CHANGED if doubt else Tone.PLAIN)


def _open_lines(pending: tuple[PendingOperation, ...], *, applying: bool) -> Iterator[Line]:
    if pending:
        whose = " (an apply is running)" if applying else " of an interrupted apply (resolved by the next plan)"
        yield Line()
        yield Line(f"Pending operations{whose}:", Tone.CHANGED)
        yield from (Line(f"  {one.address}: {one.noun}", Tone.CHANGED) for one in pending)
