"""State: bindings, journal, lock, store, backends."""

from dbc_iac.state.document import Binding, PendingOperation, State
from dbc_iac.state.journal import Journal, fold
from dbc_iac.state.store import Store, owner

__all__ = ["Binding", "Journal", "PendingOperation", "State", "Store", "fold", "owner"]
