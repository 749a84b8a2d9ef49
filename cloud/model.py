"""What is asked for, resolved: a `Cluster` of nodes that run one `Job`. Pure: no I/O, no clock.

Every field has its default here and its meaning under it; `--help`, docs/configuration.md and the
form in Horizon are made from these sentences.
"""

from __future__ import annotations

from dataclasses import dataclass, field

RESERVED = "reservation:"  # how Blazar names the flavor of a reservation
EVERYBODY = "0.0.0.0/0"
MAX_WORKERS = 254  # a /23 holds them with the master, the gateway and three DHCP ports
MAX_ARGS_CHARACTERS = 560  # of args and of setup; ASCII takes at most 2 bytes in JSON
MAX_BEYOND_ASCII = 20  # of these; each takes 6 or 12 bytes, and the user data has 49,149 in all


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What the machines run."""

    repo: str
    """HTTPS address of the git repository, or an absolute local path that only a rehearsal reaches."""
    ref: str = ""
    """Branch, tag or commit; empty for the repository's default branch."""
    commit: str = ""
    """The 40 hexadecimal digits that `ref` meant at generation; empty when the host did not answer."""
    requirements: str = "."
    """Directory of requirements.txt inside the repository; the program runs in it."""
    entrypoint: str
    """The Python file to run, relative to that directory."""
    args: str = ""
    """Arguments of the program as shell words."""
    setup: str = ""
    """A command run in the program's directory on every node, after the environment is made."""
    env: tuple[str, ...] = ()
    """NAME=VALUE pairs for the program's environment."""
    engine: str = "auto"
    """What trains: auto (read from the entrypoint), lightning, torch, ray or tensorflow."""
    max_hours: float = 24.0
    """Hours until every machine powers off, whether the run has finished or not."""
    nproc_per_node: str = "auto"
    """Ranks on each node: auto (its GPUs, 1 without) or a number."""
    torch_index: str = "auto"
    """Source of torch: auto (CPU wheels for machines without a GPU, where offered), cpu, or an index URL."""
    allow_single: bool = False
    """Accept machines that trained separately."""
    restarts: int = 1
    """Restarts after a lost machine or rank, from the newest checkpoint; counted anew after a newer one."""
    adapt: bool = False
    """Overrule launch settings that the program hard-codes, and print each change."""
    swap: str = ""
    """Swap file on every machine, for small instances: 4G, 512M; empty for none."""
    share: str = "none"
    """One directory of the master for data, environment and checkpoints of all machines: none or nfs."""

    @property
    def pinned_ref(self) -> str:
        """The ref that the template carries: the commit when it is known."""
        return self.commit or self.ref

    @property
    def is_local(self) -> bool:
        """Whether only a rehearsal on this machine can reach the repository."""
        return not self.repo.startswith("https://")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeGroup:
    """Machines of one kind."""

    flavor: str = "m1.medium"
    """Flavor: how many cores and how much memory."""
    reservation: str = ""
    """Blazar reservation for bare metal (a scheduler hint); empty for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The cluster's own network and its way out."""

    cidr: str = "10.8.0.0/23"
    """Private addresses of the cluster; a /23 holds 255 machines."""
    dns: tuple[str, ...] = ("8.8.8.8", "8.8.4.4")
    """DNS servers of the cluster's subnet."""
    external: str = "public"
    """External network for the router and the master's floating IP; empty for none."""
    ssh_cidr: str = EVERYBODY
    """Addresses that may reach port 22 of the master."""
    security_group: bool = True
    """Whether the cloud's networks have security groups; bare metal has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slurm:
    """What a job asks of a Slurm cluster; what is empty is the cluster's own default."""

    partition: str = ""
    """Partition of the cluster, or several with commas between; empty for its default. Slurm only."""
    account: str = ""
    """Account that the job is charged to. Slurm only."""
    qos: str = ""
    """Quality of service. Slurm only."""
    time: str = ""
    """Time limit as Slurm writes it: 90 (minutes), 12:00:00 or 1-12 (days-hours). Slurm only."""
    mem: str = ""
    """Memory of each node: 64G, or 0 for all of it. Slurm only."""
    cpus_per_task: int = 0
    """Cores on each node; 0 for the cluster's default, which may be one. Slurm only."""
    gpus: str = ""
    """GPUs on each node: 4, or with a type a100:4. Slurm only."""
    constraint: str = ""
    """Features that the nodes must have, as Slurm writes them: ib&gpu80. Slurm only."""
    nodelist: str = ""
    """Nodes that the job must have: node[01-04],gpu7. Slurm only."""
    modules: tuple[str, ...] = ()
    """Environment modules to load, on the login node and in the job: python/3.11,cuda. Slurm only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One master, some workers, a network between them, and a job."""

    job: Job
    workers: int
    """Machines beside the master, 0 to 254."""
    image: str = "CC-Ubuntu24.04"
    """Image that every machine boots."""
    key_name: str = ""
    """SSH key pair for the machines; empty for none."""
    master: NodeGroup = field(default_factory=NodeGroup)
    worker: NodeGroup = field(default_factory=NodeGroup)
    network: Network = field(default_factory=Network)
    profile: str = "chameleon-kvm"
    """Kind of cloud that the defaults come from: chameleon-kvm, chameleon-baremetal or openstack."""
    boot_timeout_s: int = 3000
    """Seconds for all machines to pass the gate; below Horizon's 60 minutes for the whole stack."""
    signal_transport: str = "HEAT_SIGNAL"
    """How the master reports to Heat: HEAT_SIGNAL, TOKEN_SIGNAL or NO_SIGNAL."""
    target: str = "heat"
    """What is made: heat (a template for OpenStack) or slurm (a job.sbatch for a Slurm cluster)."""
    slurm: Slurm = field(default_factory=Slurm)

    @property
    def nnodes(self) -> int:
        """Machines in all."""
        return self.workers + 1
