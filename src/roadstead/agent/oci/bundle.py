"""Make and scrap one container's bundle: overlay mount, files in /etc, network namespace, config.json.

Everything here blocks, briefly, and runs in the runtime's namespace thread. `make` writes container.json last, so a
bundle without it is half made, and `scrap` undoes it whatever it holds.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import shutil
import socket
import stat
from pathlib import Path

import msgspec

from roadstead.agent import runtime
from roadstead.agent.images import records as images
from roadstead.agent.images import store
from roadstead.agent.oci import (
    capabilities,
    cgroups,
    etcfiles,
    monitor,
    network,
    records,
    seccomp,
    spec,
    subnets,
    syscalls,
    users,
)
from roadstead.agent.oci import paths as oci_paths

PASSWD_BYTES_MAX = 1024 * 1024
OPTION_BYTES_MAX = 4095
"""mount(2) takes one page of options."""
_LIMITS = {
    name: getattr(resource, f"RLIMIT_{name.upper()}")
    for name in [
        "as",
        "core",
        "cpu",
        "data",
        "fsize",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "sigpending",
        "stack",
    ]
}
_INIT_PROGRAMS = ("docker-init", "catatonit", "tini", "tini-static", "dumb-init")
_DEVICES_MAX = 4096


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """What is true of this host for all containers."""

    layout: cgroups.Layout
    capabilities: frozenset[str]
    hard_limits: dict[str, int]
    swap_accounting: bool
    oom_score_now: int
    init_program: str | None
    hostname: str


def survey(layout: cgroups.Layout) -> Host:
    """Look at the host once."""
    limits = {name: resource.getrlimit(number)[1] for name, number in _LIMITS.items()}
    memory = layout.folder("memory", "")
    swap = memory is not None and (layout.kind == "v2" or (memory / "memory.memsw.limit_in_bytes").exists())
    return Host(
        layout=layout,
        capabilities=capabilities.host_set(),
        hard_limits={name: most for name, most in limits.items() if most != resource.RLIM_INFINITY},
        swap_accounting=swap,
        oom_score_now=int(Path("/proc/self/oom_score_adj").read_text()),
        init_program=next((found for name in _INIT_PROGRAMS if (found := shutil.which(name))), None),
        hostname=socket.gethostname(),
    )


class Workshop:
    """Makes bundles of one instance."""

    def __init__(
        self,
        paths: oci_paths.Paths,
        images_store: store.ImageStore,
        programs: monitor.Programs,
        host: Host,
        net: network.Network,
        local_subnet: str,
    ) -> None:
        self._paths = paths
        self._store = images_store
        self._programs = programs
        self._host = host
        self._network = net
        self._local_subnet = local_subnet
        self._addresses: dict[str, str] = {}
        self._last_address: str | None = None

    def adopt(self, record: records.ContainerRecord) -> None:
        """Remember the address that a container of an earlier process has."""
        if record.ipv4_address is not None:
            self._addresses[record.spec.container_id] = record.ipv4_address

    def make(self, wanted: runtime.ContainerSpec, sandbox: runtime.SandboxSpec, now: float) -> records.ContainerRecord:
        """Raises RuntimeProblem with CannotCreateContainerError; then nothing is left behind."""
        bundle = self._paths.bundle(wanted.container_id)
        if bundle.exists():
            raise _cannot_create(f"a container with the id {wanted.container_id} exists already")
        try:
            return self._make(wanted, sandbox, bundle, now)
        except (spec.UnfitSpec, users.UnknownUser, capabilities.UnknownCapability, store.ImageProblem) as problem:
            self.scrap(wanted.container_id)
            raise _cannot_create(str(problem)) from problem
        except OSError as problem:
            self.scrap(wanted.container_id)
            raise _cannot_create(f"the host refused: {problem}") from problem
        except BaseException:
            self.scrap(wanted.container_id)
            raise

    def _make(
        self, wanted: runtime.ContainerSpec, sandbox: runtime.SandboxSpec, bundle: Path, now: float
    ) -> records.ContainerRecord:
        image = self._store.lease(wanted.image, wanted.container_id)
        config = self._store.config(image)
        writable = self._paths.writable(wanted.container_id)
        for folder in (bundle, bundle / "root", bundle / "etc", writable, writable / "upper", writable / "work"):
            folder.mkdir(mode=0o755)
        for mount in wanted.mounts:
            if mount.source.startswith("/") and not os.path.lexists(mount.source):
                os.makedirs(mount.source)  # as Docker does for a volume of the host
        self._mount(image, bundle, writable)
        root = os.open(bundle / "root", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            user = wanted.user if wanted.user else config.user
            identity = users.resolve(user, _read_inside(root, "/etc/passwd"), _read_inside(root, "/etc/group"))
            _make_directory_inside(root, spec.working_directory(wanted, config))
        finally:
            os.close(root)
        address, veth = self._connect(wanted, sandbox)
        place = self._place(wanted, sandbox, bundle)
        self._write_etc(wanted, sandbox, bundle, place.hostname, address)
        built = spec.build(wanted, config, identity, place)
        (bundle / "config.json").write_bytes(msgspec.json.encode(built.config))
        record = records.ContainerRecord(
            spec=wanted,
            network_mode=sandbox.network_mode,
            image_digest=image.digest,
            cgroup=place.cgroup,
            network_key=network_key(wanted, sandbox),
            ipv4_address=address if sandbox.network_mode == "bridge" else None,
            veth=veth,
            created_at=now,
            notes=built.notes,
        )
        records.write(bundle / "container.json", record)
        return record

    def _mount(self, image: images.ImageRecord, bundle: Path, writable: Path) -> None:
        lower = [self._store.layer_name(diff_id) for diff_id in reversed(image.diff_ids)] or [str(bundle / "etc")]
        options = f"lowerdir={':'.join(lower)},upperdir={writable}/upper,workdir={writable}/work"
        if len(options) > OPTION_BYTES_MAX - len(",volatile"):
            raise spec.UnfitSpec(f"image {image.reference} has too many layers ({len(lower)}) to be mounted")
        os.chdir(self._store.layers)  # this thread's own directory: short names leave room for many layers
        try:
            # volatile: removing a container must not write its files to disk first.
            syscalls.mount("overlay", str(bundle / "root"), "overlay", 0, f"{options},volatile")
        except OSError as problem:
            if problem.errno != errno.EINVAL:
                raise
            syscalls.mount("overlay", str(bundle / "root"), "overlay", 0, options)
        finally:
            os.chdir("/")

    def _connect(self, wanted: runtime.ContainerSpec, sandbox: runtime.SandboxSpec) -> tuple[str | None, str | None]:
        """(address, host's end of the veth pair); makes the namespace of a container in bridge mode."""
        if sandbox.network_interface is not None:
            return sandbox.network_interface.ipv4_address, None
        if sandbox.network_mode != "bridge":
            return None, None
        address = subnets.next_address(self._local_subnet, set(self._addresses.values()), self._last_address)
        if address is None:
            raise spec.UnfitSpec(f"no address is left in {self._local_subnet} for another container in bridge mode")
        self._addresses[wanted.container_id] = self._last_address = address
        interface = network.Interface(
            bridge=self._paths.bridge_local,
            address=address,
            prefix_length=subnets.prefix_of(self._local_subnet),
            gateway=subnets.gateway_of(self._local_subnet),
            mac_address=subnets.mac_of(address),
        )
        return address, self._network.create(wanted.container_id, interface)

    def _place(self, wanted: runtime.ContainerSpec, sandbox: runtime.SandboxSpec, bundle: Path) -> spec.Surroundings:
        granted = capabilities.resolve(
            wanted.capabilities_add, wanted.capabilities_drop, wanted.privileged, self._host.capabilities
        )
        confined = not (wanted.privileged or wanted.seccomp_unconfined)
        ready_made = confined and self._programs.engine_name == "crun"
        key = network_key(wanted, sandbox)
        own_name = self._host.hostname if sandbox.network_mode == "host" else wanted.container_id[:12]
        return spec.Surroundings(
            root=str(bundle / "root"),
            cgroup=f"{self._paths.cgroup}/{wanted.task_id}/{wanted.container_id}",
            network_mode=sandbox.network_mode,
            network_namespace=str(self._paths.network(key)) if key is not None else None,
            hostname=wanted.hostname or own_name,
            etc=str(bundle / "etc"),
            cgroups_version_2=self._host.layout.kind == "v2",
            swap_accounting=self._host.swap_accounting,
            hard_limits=self._host.hard_limits,
            may_raise_limits="SYS_RESOURCE" in self._host.capabilities,
            oom_score_now=self._host.oom_score_now,
            host_capabilities=self._host.capabilities,
            capabilities=granted,
            seccomp_filter=seccomp.compiled(granted, self._paths.seccomp) if ready_made else None,
            seccomp_profile=seccomp.profile(granted) if confined and not ready_made else None,
            devices=_host_devices() if wanted.privileged else (),
            init_program=self._host.init_program,
        )

    def _write_etc(
        self,
        wanted: runtime.ContainerSpec,
        sandbox: runtime.SandboxSpec,
        bundle: Path,
        hostname: str,
        address: str | None,
    ) -> None:
        etc = bundle / "etc"
        interface = sandbox.network_interface
        servers = wanted.dns_servers or (interface.dns_servers if interface else ())
        own_network = sandbox.network_mode in ("awsvpc", "bridge")
        (etc / "hosts").write_text(etcfiles.hosts(hostname, address, wanted.extra_hosts))
        (etc / "hostname").write_text(f"{hostname}\n")
        (etc / "resolv.conf").write_text(
            etcfiles.resolv_conf(etcfiles.host_resolvers(), servers, wanted.dns_search, own_network)
        )

    def forget_cgroup(self, cgroup: str) -> None:
        """What crun wrote where version 2 is hidden from it (see mountns) is plain files, which nobody else removes."""
        if self._host.layout.unified is not None:
            hidden = self._host.layout.unified + cgroup
            if not syscalls.is_on_cgroup(hidden):
                shutil.rmtree(hidden, ignore_errors=True)

    def scrap(self, container_id: str) -> Path | None:
        """Unmount, let go of network and image; returns what is left to delete, out of the way. Nothing is no error."""
        bundle = self._paths.bundle(container_id)
        self._addresses.pop(container_id, None)
        self._network.remove(container_id)
        with contextlib.suppress(OSError):
            syscalls.unmount(str(bundle / "root"))
        self._paths.exit_file(container_id).unlink(missing_ok=True)
        shutil.rmtree(self._paths.engine / container_id, ignore_errors=True)
        self._store.release(container_id)
        shutil.rmtree(bundle, ignore_errors=True)
        trash = self._paths.upper / f".trash-{os.urandom(6).hex()}"
        try:
            os.rename(self._paths.writable(container_id), trash)
        except FileNotFoundError:
            return None
        return trash


def network_key(wanted: runtime.ContainerSpec, sandbox: runtime.SandboxSpec) -> str | None:
    """Which network namespace a container joins: its task's in awsvpc mode, its own in bridge mode."""
    match sandbox.network_mode:
        case "awsvpc":
            return task_network_key(wanted.task_id)
        case "bridge":
            return wanted.container_id
        case _:
            return None


def task_network_key(task_id: str) -> str:
    return f"task-{task_id}"


def _read_inside(root: int, path: str) -> str:
    """A file of the image; its symbolic links lead nowhere but into the image."""
    try:
        descriptor = syscalls.open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return ""
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return file.read(PASSWD_BYTES_MAX).decode(errors="replace")


def _make_directory_inside(root: int, path: str) -> None:
    built = "/"
    for part in path.split("/"):
        if not part:
            continue
        above = syscalls.open_in_root(root, built, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.mkdir(part, 0o755, dir_fd=above)
        except FileExistsError:
            pass
        finally:
            os.close(above)
        built = f"{built}{part}/"


def _host_devices() -> tuple[spec.Device, ...]:
    """Character and block devices of the host, for privileged containers."""
    skipped = {"/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/console", "/dev/fd", "/dev/hugepages"}
    found: list[spec.Device] = []
    for folder, folders, files in os.walk("/dev"):
        folders[:] = [name for name in folders if f"{folder}/{name}" not in skipped]
        for name in files:
            path = f"{folder}/{name}"
            with contextlib.suppress(OSError):
                facts = os.lstat(path)
                if path in skipped or not (stat.S_ISCHR(facts.st_mode) or stat.S_ISBLK(facts.st_mode)):
                    continue
                found.append(
                    spec.Device(
                        path=path,
                        kind="c" if stat.S_ISCHR(facts.st_mode) else "b",
                        major=os.major(facts.st_rdev),
                        minor=os.minor(facts.st_rdev),
                        mode=stat.S_IMODE(facts.st_mode),
                    )
                )
    return tuple(found[:_DEVICES_MAX])


def _cannot_create(message: str) -> runtime.RuntimeProblem:
    return runtime.RuntimeProblem("CannotCreateContainerError", message)
