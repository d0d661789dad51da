"""The GPU node behind authorisation: VMs, disks, snapshots, images, virtual LANs.

What a request meets after the node has checked who sends it (that is `emulator/authority.py`). Nothing in here may know
of HTTP, of client nodes, or of the rest of the project.
"""
