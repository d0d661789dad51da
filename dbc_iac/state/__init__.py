"""State: bindings, journal, lock, store, backends."""

from dbc_iac.state.document import Binding, PendingOperation, State
from dbc_iac.state.journal import Journal, fold
from dbc_iac.state.lock import lock, owner
from dbc_iac.state.store import Store

__all__ = ["Binding", "Journal", "PendingOperation", "State", "Store", "fold", "lock", "owner"]
