"""The state as text: a line a resource, or all that is known of one."""

from __future__ import annotations

from dbc_iac.report.plan_text import value_text
from dbc_iac.state.document import Binding, State


def state_lines(state: State) -> list[str]:
    """One line a binding: address, id, where it is."""
    width = max((len(a) for a in state.bindings), default=0)
    return [f"{a:<{width}}  {b.id}  ({b.where.get('name', '')})" for a, b in sorted(state.bindings.items())]


def binding_lines(binding: Binding) -> list[str]:
    """All of one binding. State never holds a secret."""
    head = [
        binding.address,
        f"  id: {binding.id}",
        f"  generation: {binding.generation}",
        f"  on: {binding.where.get('name', '')} ({binding.where.get('target', '')})",
        f"  protected: {value_text(binding.protected)}",
    ]
    if binding.holder:
        head.append(f"  lives with: {binding.holder}")
    fields = {**binding.applied, **binding.resolved}
    uncertain = set(binding.uncertain)
    return head + [f"  {p}: {value_text(v)}{' (uncertain)' if p in uncertain else ''}" for p, v in fields.items()]
