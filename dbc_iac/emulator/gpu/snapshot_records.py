"""Snapshot records of a node: names are not unique, and a status belongs to a name, not to a snapshot."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct, field


class SnapshotStatus(StrEnum):
    CREATING = "creating"
    UPLOADING = "uploading"
    NONE = "none"


class Snapshot(Struct):
    """`file`: local copy on the host; `image_server`: id of its destination."""

    name: str
    description: str
    file: str
    create_time: str
    image_server: str


class SnapshotBook(Struct):
    """Records by task id; statuses by task id and name."""

    snapshots: dict[str, list[Snapshot]] = field(default_factory=dict)
    statuses: dict[tuple[str, str], SnapshotStatus] = field(default_factory=dict)

    def of(self, task_id: str) -> list[Snapshot]:
        """In order of creation."""
        return self.snapshots.get(task_id, [])

    def oldest(self, task_id: str, name: str) -> Snapshot | None:
        return next((snapshot for snapshot in self.of(task_id) if snapshot.name == name), None)

    def add(self, task_id: str, snapshot: Snapshot) -> None:
        self.snapshots.setdefault(task_id, []).append(snapshot)
        self.statuses[task_id, snapshot.name] = SnapshotStatus.CREATING

    def status(self, task_id: str, name: str) -> SnapshotStatus:
        return self.statuses.get((task_id, name), SnapshotStatus.NONE)

    def set_status(self, task_id: str, name: str, status: SnapshotStatus) -> None:
        self.statuses[task_id, name] = status

    def remove(self, task_id: str, snapshot: Snapshot) -> None:
        """Remove a snapshot, and the status of all with its name."""
        self.snapshots[task_id] = [kept for kept in self.of(task_id) if kept is not snapshot]
        self.statuses.pop((task_id, snapshot.name), None)

    def remove_all(self, task_id: str) -> list[Snapshot]:
        removed = self.snapshots.pop(task_id, [])
        for snapshot in removed:
            self.statuses.pop((task_id, snapshot.name), None)
        return removed

    def forget_statuses(self) -> None:
        """Restart of the daemon: every snapshot shows `none`, unfinished ones too."""
        self.statuses.clear()
