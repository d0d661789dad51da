"""The GPU node behind authorisation: VMs, disks, snapshots, images, virtual LANs.

What a request meets after the node has checked who sends it (that is `emulator/authority.py`). Nothing in here may know
of HTTP, of client nodes, or of the rest of the project.

`node.GpuNode` is the front, `node.OPERATIONS` says who may do what, `admin.GpuAdmin` acts behind everybody's back,
`spec` is this part of a world file, `rental.Rentals` is what the chain has to offer. Inside:

* requests: `create`, `power`, `modify`, `details`, `disks`, `snapshots`, `images`, `lan_requests`, `info`
* the worker's jobs: `create_job`, `jobs`; unasked: `pruning`, `strangers`
* the host: `domain` (libvirt), `files`, `guest`, `transfers`, `lan`; the daemon's memory: `record`, `logs`, `machine`
"""
