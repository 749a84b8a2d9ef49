"""Settings of Nova and Neutron: servers without machines, on networks that are only written down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.openstack.lab import place
from tests.openstack.lab.connections import (
    PORTS,
    Settings,
    authtoken,
    cache,
    credentials,
    database,
    rabbit,
    url,
)

if TYPE_CHECKING:
    from pathlib import Path

GPU_ALIAS = '{"vendor_id": "10de", "product_id": "20b0", "device_type": "type-PCI", "name": "a100"}'


def nova(home: Path) -> Settings:
    """Servers without machines behind them; real quotas; the metadata API as Neutron's agents ask it."""
    return {
        "DEFAULT": {
            "host": place.NAMESPACE,
            "my_ip": "127.0.0.1",
            "transport_url": rabbit(),
            "state_path": home / "nova",
            "use_stderr": True,
            "enabled_apis": "osapi_compute,metadata",
            "osapi_compute_listen_port": PORTS["nova"],
            "metadata_listen_port": PORTS["metadata"],
            "osapi_compute_workers": 2,
            "metadata_workers": 1,
            "compute_driver": "fake.FakeDriver",
            "vif_plugging_is_fatal": False,
            "vif_plugging_timeout": 0,
            "cpu_allocation_ratio": 64.0,
            "ram_allocation_ratio": 4.0,
            "disk_allocation_ratio": 16.0,
            "report_interval": 5,
            "rpc_response_timeout": 180,
            "running_deleted_instance_action": "reap",
        },
        "api_database": database("nova_api"),
        "database": database("nova"),
        "api": {"auth_strategy": "keystone"},
        "wsgi": {"api_paste_config": "/etc/nova/api-paste.ini"},
        "cache": cache(),
        "scheduler": {"workers": 1},
        "conductor": {"workers": 1},
        "quota": {
            "instances": 400, "cores": 20000, "ram": 50_000_000, "key_pairs": 100,
            "server_groups": 100, "server_group_members": 400,
        },
        "pci": {"alias": GPU_ALIAS},
        "vnc": {"enabled": False},
        "glance": {"api_servers": url("glance")},
        "oslo_concurrency": {"lock_path": home / "nova" / "lock"},
        "oslo_messaging_notifications": {"driver": "noop"},
        "placement": credentials("placement"),
        "neutron": {
            **credentials("neutron"),
            "service_metadata_proxy": True,
            "metadata_proxy_shared_secret": place.password(),
        },
        "keystone_authtoken": authtoken("nova"),
    }  # fmt: skip


def neutron(home: Path) -> Settings:
    """ML2 with the linuxbridge agent, for without an agent no port is bound; real quotas."""
    return {
        "DEFAULT": {
            "host": place.NAMESPACE,
            "bind_port": PORTS["neutron"],
            "core_plugin": "ml2",
            "service_plugins": "router",
            "auth_strategy": "keystone",
            "transport_url": rabbit(),
            "state_path": home / "neutron",
            "use_stderr": True,
            "api_workers": 2,
            "rpc_workers": 1,
            "rpc_state_report_workers": 0,
            "api_paste_config": "/etc/neutron/api-paste.ini",
            "rpc_response_timeout": 180,
        },
        "agent": {"root_helper": "", "report_interval": 30},
        "experimental": {"linuxbridge": True},
        "database": database("neutron"),
        "quotas": {
            "quota_network": 100,
            "quota_subnet": 100,
            "quota_port": 2000,
            "quota_router": 50,
            "quota_floatingip": 50,
            "quota_security_group": 100,
            "quota_security_group_rule": 1000,
        },
        "nova": credentials("nova"),
        "placement": credentials("placement"),
        "oslo_concurrency": {"lock_path": home / "neutron" / "lock"},
        "oslo_messaging_notifications": {"driver": "noop"},
        "keystone_authtoken": authtoken("neutron"),
    }


def agent() -> Settings:
    """Networks of projects are vxlan, the external one is flat on ext0; kernels without vlan modules do."""
    return {
        "ml2": {
            "type_drivers": "flat,vxlan",
            "tenant_network_types": "vxlan",
            "mechanism_drivers": "linuxbridge",
            "extension_drivers": "port_security",
        },
        "ml2_type_flat": {"flat_networks": "external"},
        "ml2_type_vxlan": {"vni_ranges": "1:4000", "vxlan_group": "239.1.1.1"},
        "securitygroup": {"enable_security_group": True, "firewall_driver": "iptables", "enable_ipset": True},
        "linux_bridge": {"physical_interface_mappings": "external:ext0"},
        "vxlan": {"enable_vxlan": True, "local_ip": place.ADDRESS, "l2_population": False},
    }
