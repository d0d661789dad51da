"""GPU node behind authorisation: VMs, disks, snapshots, images, virtual LANs.

Handles authorised requests (see `emulator/authority.py`). Independent of HTTP and client nodes.

`node.GpuNode` is the entry point, `node.OPERATIONS` lists operations and permissions, `admin.GpuAdmin` changes the
node outside of the API, `spec` is this part of a world file, `rental.Rentals` is the interface to the chain. Inside:

* requests: `create`, `power`, `modify`, `details`, `disks`, `snapshots`, `images`, `lan_requests`, `info`
* jobs of the worker: `create_job`, `jobs`; periodic: `pruning`; before starts: `unknown_domains`
* the host: `domain` (libvirt), `files`, `guest`, `transfers`, `lan`; memory of the daemon: `record`, `logs`, `machine`
"""
