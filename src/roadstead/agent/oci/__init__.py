"""Real containers on Linux: the `Runtime` port over crun (or runc), conmon, overlay mounts, netlink and nftables.

`runtime.OciRuntime` is the port; `destroy.destroy` wipes all traces of an instance; `host.check` says whether this
host can run it; `logs` reads what containers wrote.
"""
