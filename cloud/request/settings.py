"""Everything a request can set: key, place in the model, rule. Pure data.

The flags, the keys of a file and docs/configuration.md come from this table.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal

from cloud import model
from cloud.request import addresses, rules, slurm
from cloud.request.profiles import PROFILES
from cloud.request.sentences import sentences

USUAL_ENGINES = ("auto", "lightning", "torch")
CARRIED_ENGINES = ("ray", "tensorflow")  # only in templates that were made for them
ENGINES = (*USUAL_ENGINES, *CARRIED_ENGINES)
TRANSPORTS = ("HEAT_SIGNAL", "TOKEN_SIGNAL", "NO_SIGNAL")
TARGETS = ("heat", "slurm")
SHARES = ("none", "nfs")
OWNERS = {
    "job": model.Job, "master": model.NodeGroup, "worker": model.NodeGroup, "network": model.Network,
    "slurm": model.Slurm, "": model.Cluster,
}  # fmt: skip
_SUFFIX = {"master": " (the master)", "worker": " (the workers)"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One thing that can be asked for."""

    key: str
    """Key in a file; with `-` for `_` it is the flag."""
    path: str
    """Field of the model: `job.repo`, `workers`."""
    rule: rules.Rule
    """Reads one value."""
    metavar: str
    """What stands for the value in `--help`."""
    kind: Literal["text", "words", "list", "pairs", "switch"] = "text"
    """What a file may hold: one value, shell words, several values, a map of names to values, yes or no."""
    choices: tuple[str, ...] = ()
    """The words that are possible, for completion."""
    alias: str = ""
    """A second name of the key."""

    @property
    def flag(self) -> str:
        """The flag, with its dashes."""
        return "--" + self.key.replace("_", "-")

    @property
    def owner(self) -> str:
        """`job`, `master`, `worker`, `network`, or empty for the cluster itself."""
        return self.path.rpartition(".")[0]

    @property
    def field(self) -> str:
        """Name of the dataclass field."""
        return self.path.rpartition(".")[2]

    @property
    def sentence(self) -> str:
        """The field's sentence in model.py."""
        written = sentences()[f"{OWNERS[self.owner].__name__}.{self.field}"]
        suffix = _SUFFIX.get(self.owner, "")
        return written.rstrip(".") + suffix + "." if suffix else written

    @property
    def default(self) -> Any:
        """The model's default, or None where there is none."""
        found = {field.name: field for field in fields(OWNERS[self.owner])}[self.field]
        return None if found.default is MISSING else found.default

    @property
    def shown_default(self) -> str:
        """The default as it would be typed; empty for none."""
        if isinstance(self.default, bool):
            return "yes" if self.default else "no"
        if isinstance(self.default, tuple):
            return ",".join(self.default)
        return (
            ""
            if self.default is None
            else f"{self.default:g}"
            if isinstance(self.default, float)
            else str(self.default)
        )

    @property
    def is_required(self) -> bool:
        """Whether the model has no default."""
        return self.default is None


def _engine_settings() -> tuple[Setting, ...]:
    return (
        Setting(
            key="engine", path="job.engine", rule=rules.choice(*ENGINES), metavar="NAME", choices=ENGINES
        ),
        Setting(key="max_hours", path="job.max_hours", rule=rules.hours, metavar="H"),
        Setting(key="nproc_per_node", path="job.nproc_per_node", rule=rules.ranks, metavar="auto|K"),
        Setting(
            key="torch_index", path="job.torch_index", rule=addresses.torch_index, metavar="auto|cpu|URL"
        ),
        Setting(key="restarts", path="job.restarts", rule=rules.whole_number(0, 100), metavar="K"),
        Setting(key="swap", path="job.swap", rule=rules.swap, metavar="SIZE"),
        Setting(key="share", path="job.share", rule=rules.choice(*SHARES), metavar="NAME", choices=SHARES),
        Setting(key="adapt", path="job.adapt", rule=rules.yes_or_no, metavar="", kind="switch"),
        Setting(key="allow_single", path="job.allow_single", rule=rules.yes_or_no, metavar="", kind="switch"),
    )


def _cloud_settings() -> tuple[Setting, ...]:
    profiles, yes_no = tuple(PROFILES), ("yes", "no")
    timeout = rules.whole_number(60, 43_200)  # Heat's own limit for a wait condition
    return (
        Setting(
            key="profile", path="profile", rule=rules.choice(*profiles), metavar="NAME", choices=profiles
        ),
        Setting(key="image", path="image", rule=rules.name, metavar="NAME"),
        Setting(key="master_flavor", path="master.flavor", rule=rules.name, metavar="NAME"),
        Setting(key="worker_flavor", path="worker.flavor", rule=rules.name, metavar="NAME"),
        Setting(key="key_name", path="key_name", rule=rules.text, metavar="NAME"),
        Setting(key="external_network", path="network.external", rule=rules.text, metavar="NAME"),
        Setting(key="network_cidr", path="network.cidr", rule=addresses.ipv4_range, metavar="RANGE"),
        Setting(key="ssh_cidr", path="network.ssh_cidr", rule=addresses.ipv4_range, metavar="RANGE"),
        Setting(
            key="dns",
            path="network.dns",
            rule=addresses.ipv4_address,
            metavar="A,B",
            kind="list",
            alias="dns_nameservers",
        ),
        Setting(
            key="security_groups",
            path="network.security_group",
            rule=rules.yes_or_no,
            metavar="yes|no",
            choices=yes_no,
        ),
        Setting(key="master_reservation", path="master.reservation", rule=rules.reservation, metavar="ID"),
        Setting(key="worker_reservation", path="worker.reservation", rule=rules.reservation, metavar="ID"),
        Setting(key="boot_timeout", path="boot_timeout_s", rule=timeout, metavar="S"),
        Setting(
            key="signal_transport",
            path="signal_transport",
            rule=rules.choice(*TRANSPORTS),
            metavar="NAME",
            choices=TRANSPORTS,
        ),
    )


def _slurm_settings() -> tuple[Setting, ...]:
    cores = rules.whole_number(0, 1024)
    return (
        Setting(key="partition", path="slurm.partition", rule=slurm.names, metavar="NAME"),
        Setting(key="account", path="slurm.account", rule=slurm.name, metavar="NAME"),
        Setting(key="qos", path="slurm.qos", rule=slurm.name, metavar="NAME"),
        Setting(key="time", path="slurm.time", rule=slurm.time, metavar="TIME"),
        Setting(key="mem", path="slurm.mem", rule=slurm.memory, metavar="SIZE"),
        Setting(key="cpus_per_task", path="slurm.cpus_per_task", rule=cores, metavar="K"),
        Setting(key="gpus", path="slurm.gpus", rule=slurm.gpus, metavar="[TYPE:]K"),
        Setting(key="constraint", path="slurm.constraint", rule=slurm.constraint, metavar="WORDS"),
        Setting(key="nodelist", path="slurm.nodelist", rule=slurm.nodelist, metavar="NODES"),
        Setting(key="modules", path="slurm.modules", rule=slurm.module, metavar="A,B", kind="list"),
    )


SETTINGS: tuple[Setting, ...] = (
    Setting(key="repo", path="job.repo", rule=addresses.repo, metavar="URL"),
    Setting(key="ref", path="job.ref", rule=addresses.ref, metavar="REF"),
    Setting(
        key="workers",
        path="workers",
        rule=rules.whole_number(0, model.MAX_WORKERS, "workers-out-of-range"),
        metavar="N",
    ),
    Setting(key="requirements", path="job.requirements", rule=addresses.directory, metavar="DIR"),
    Setting(key="entrypoint", path="job.entrypoint", rule=addresses.python_file, metavar="FILE"),
    Setting(key="args", path="job.args", rule=rules.words, metavar='"…"', kind="words"),
    Setting(key="setup", path="job.setup", rule=rules.words, metavar='"…"', kind="words"),
    Setting(key="env", path="job.env", rule=rules.pair, metavar="K=V", kind="pairs"),
    *_engine_settings(),
    *_cloud_settings(),
    Setting(key="target", path="target", rule=rules.choice(*TARGETS), metavar="NAME", choices=TARGETS),
    *_slurm_settings(),
)
BY_KEY: dict[str, Setting] = {setting.key: setting for setting in SETTINGS}
ALIASES: dict[str, str] = {setting.alias: setting.key for setting in SETTINGS if setting.alias}
