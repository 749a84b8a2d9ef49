"""What the lab holds when it is fresh: users, roles and catalogue; then an image, flavors and an external network."""

from __future__ import annotations

from tests.openstack.lab import place
from tests.openstack.lab.connections import PORTS, url
from tests.openstack.lab.rest import Admin

SERVICE_USERS = ("glance", "placement", "nova", "neutron", "heat")
CATALOGUE = {  # service -> (type, path)
    "glance": ("image", ""),
    "placement": ("placement", ""),
    "nova": ("compute", "/v2.1"),
    "neutron": ("network", ""),
    "heat": ("orchestration", "/v1/%(tenant_id)s"),
}
FLAVORS = {  # name -> (cores, memory in MiB, disk in GiB, extra specs)
    "m1.tiny": (1, 512, 3, {}),
    "m1.small": (1, 1024, 5, {}),
    "m1.medium": (2, 2048, 10, {}),
    "m1.large": (4, 8192, 20, {}),
    "g1.a100": (32, 262_144, 200, {"pci_passthrough:alias": "a100:4"}),  # no host has one: "No valid host"
}
IMAGES = {  # name -> (least disk in GiB, least memory in MiB); `big` fits no flavor below m1.large's
    "tiny": (1, 64),
    "big": (15, 4096),
}
EXTERNAL_NETWORK = "public"


def identity() -> None:
    """Make what `keystone-manage bootstrap` does not: service users, Heat's domain, roles, endpoints."""
    admin = Admin()
    roles = {role["name"]: role["id"] for role in admin.get("keystone", "/v3/roles")["roles"]}
    for name in ("service", "heat_stack_user"):
        if name not in roles:
            roles[name] = admin.post("keystone", "/v3/roles", {"role": {"name": name}})["role"]["id"]
    domain = admin.post("keystone", "/v3/domains", {"domain": {"name": "heat"}})["domain"]["id"]
    project = {"name": "service", "domain_id": "default"}
    service = admin.post("keystone", "/v3/projects", {"project": project})["project"]["id"]
    for name in SERVICE_USERS:
        user = _user(admin, name, "default")
        for role in ("admin", "service"):
            admin.put("keystone", f"/v3/projects/{service}/users/{user}/roles/{roles[role]}")
    heat_admin = _user(admin, "heat_domain_admin", domain)
    admin.put("keystone", f"/v3/domains/{domain}/users/{heat_admin}/roles/{roles['admin']}")
    for name, (kind, path) in CATALOGUE.items():
        body = {"service": {"name": name, "type": kind}}
        made = admin.post("keystone", "/v3/services", body)["service"]["id"]
        for interface, host in (("public", place.ADDRESS), ("internal", "127.0.0.1"), ("admin", "127.0.0.1")):
            endpoint = {
                "service_id": made,
                "interface": interface,
                "region_id": place.REGION,
                "url": url(name, host) + path,
            }
            admin.post("keystone", "/v3/endpoints", {"endpoint": endpoint})


def cloud() -> None:
    """Make images, flavors and the external network."""
    admin = Admin()
    for name, (cores, ram_mib, disk_gib, extra) in FLAVORS.items():
        flavor = {"name": name, "vcpus": cores, "ram": ram_mib, "disk": disk_gib}
        made = admin.post("nova", "/v2.1/flavors", {"flavor": flavor})["flavor"]["id"]
        if extra:
            admin.post("nova", f"/v2.1/flavors/{made}/os-extra_specs", {"extra_specs": extra})
    for name, (disk_gib, ram_mib) in IMAGES.items():
        image = {
            "name": name,
            "disk_format": "raw",
            "container_format": "bare",
            "visibility": "public",
            "min_disk": disk_gib,
            "min_ram": ram_mib,
        }
        made = admin.post("glance", "/v2/images", image)["id"]
        admin.put("glance", f"/v2/images/{made}/file", b"\0" * 65536)
    network = {
        "name": EXTERNAL_NETWORK,
        "router:external": True,
        "provider:network_type": "flat",
        "provider:physical_network": "external",
    }
    made = admin.post("neutron", "/v2.0/networks", {"network": network})["network"]["id"]
    first, last = (place.ADDRESS.rpartition(".")[0] + end for end in (".20", ".250"))
    subnet = {
        "name": f"{EXTERNAL_NETWORK}-addresses",
        "network_id": made,
        "ip_version": 4,
        "cidr": place.PUBLIC_NETWORK,
        "enable_dhcp": False,
        "gateway_ip": place.ADDRESS,
        "allocation_pools": [{"start": first, "end": last}],
    }
    admin.post("neutron", "/v2.0/subnets", {"subnet": subnet})


def environment(user: str = "admin", project: str = "admin", password: str = "") -> dict[str, str]:
    """OS_* of a user of the lab, for clients."""
    return {
        "OS_AUTH_URL": f"http://{place.ADDRESS}:{PORTS['keystone']}/v3",
        "OS_IDENTITY_API_VERSION": "3",
        "OS_USERNAME": user,
        "OS_PASSWORD": password or place.password(),
        "OS_PROJECT_NAME": project,
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_REGION_NAME": place.REGION,
    }


def _user(admin: Admin, name: str, domain: str) -> str:
    user = {"name": name, "domain_id": domain, "password": place.password()}
    return str(admin.post("keystone", "/v3/users", {"user": user})["user"]["id"])
