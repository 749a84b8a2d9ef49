"""Defaults that differ between kinds of cloud, and the sizes of the flavors we know. Data only."""

from __future__ import annotations

PROFILES: dict[str, dict[str, str]] = {
    "chameleon-kvm": {
        "image": "CC-Ubuntu24.04",
        "master_flavor": "m1.medium",
        "worker_flavor": "m1.medium",
        "external_network": "public",
        "security_groups": "yes",
    },
    "chameleon-baremetal": {
        "image": "CC-Ubuntu24.04",
        "master_flavor": "baremetal",
        "worker_flavor": "baremetal",
        "external_network": "public",
        "security_groups": "no",  # its networks are made without port security
        "boot_timeout": "5400",  # a machine takes 10 to 20 minutes to start, and they don't start together
    },
    "openstack": {  # images have no common names: `image` must be given
        "master_flavor": "m1.medium",
        "worker_flavor": "m1.medium",
        "external_network": "public",
        "security_groups": "yes",
    },
}
DEFAULT_PROFILE = "chameleon-kvm"

FLAVORS: dict[str, tuple[int, float]] = {  # cores, GiB; Chameleon's KVM documentation
    "m1.tiny": (1, 0.5),
    "m1.small": (1, 2),
    "m1.medium": (2, 4),
    "m1.large": (4, 8),
    "m1.xlarge": (8, 16),
    "m1.xxlarge": (16, 32),
}
