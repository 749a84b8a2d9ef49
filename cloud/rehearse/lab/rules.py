"""Security group, way out, faults -> nftables rules for the lab's bridge. Pure.

The rules stand where the machines' cables meet, out of the reach of root on a machine. Their family is
`bridge` where the kernel tracks connections there, else `inet`, which sees bridged packets by br_netfilter.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from cloud.errors import Problem, ProblemsFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FAMILIES = ("bridge", "inet")
COORDINATOR_PORT = 5170  # cloud/node/job.py
_KNOWN = {
    "direction", "ethertype", "protocol", "port_range_min", "port_range_max", "remote_mode",
    "remote_ip_prefix", "description",
}  # fmt: skip


def security_group(
    family: str, rules: Sequence[Mapping[str, Any]], members: Sequence[str], where: str
) -> str:
    """A table that lets into members what the group's rules name, and every answer; all may leave.

    Raises ProblemsFound (`rule-not-rehearsable`, at `where`) for a rule that is more than that.
    """
    allowed = [_allowed(rule, index, where) for index, rule in enumerate(rules)]
    return f"""table {family} group {{
  set members {{ type ipv4_addr; elements = {{ {", ".join(members)} }}; }}
  chain ingress {{
    ct state established,related accept
    {"; ".join(rule for rule in allowed if rule)}
    counter drop comment "not in the group"
  }}
  chain forward {{
    type filter hook forward priority 0; policy accept;
    ip daddr @members goto ingress
    meta protocol ip6 drop
  }}
  chain output {{
    type filter hook output priority 0; policy accept;
    ip daddr @members goto ingress
  }}
}}
"""


def way_out(network: ipaddress.IPv4Network, gateway: str) -> str:
    """A table that leads every connection to elsewhere to the port $way, where its target is asked for."""
    return f"""table ip way_out {{
  chain prerouting {{
    type nat hook prerouting priority -100; policy accept;
    ip daddr {gateway} tcp dport 53 redirect to :$way
    ip daddr {{ {network}, 127.0.0.0/8, 169.254.0.0/16, 224.0.0.0/4 }} return
    meta l4proto tcp redirect to :$way
  }}
}}
"""


def faults(family: str) -> str:
    """Empty chains for what goes wrong: between machines, and on the way to name servers."""
    return f"""table {family} faults {{
  chain between {{ type filter hook forward priority -10; policy accept; }}
}}
table ip faults_of_names {{
  chain names {{ type filter hook prerouting priority -150; policy accept; }}
}}
"""


def blocked_ports(family: str, members: Sequence[str], address: str | None) -> str:
    """TCP between members is dropped but for the coordinator's port; of one member, or of all."""
    everyone = f"{{ {', '.join(members)} }}"
    ends = [(everyone, everyone)] if address is None else [(address, everyone), (everyone, address)]
    others = f"{{ 0-{COORDINATOR_PORT - 1}, {COORDINATOR_PORT + 1}-65535 }}"
    kept = f"tcp sport {others} tcp dport {others}"  # nft 1.0 makes one comparison of two `!=` side by side
    return "".join(
        f"add rule {family} faults between ip saddr {source} ip daddr {target} {kept} counter drop\n"
        for source, target in ends
    )


def blocked_names(address: str | None) -> str:
    """Questions to name servers are dropped; of one member, or of all."""
    whose = f"ip saddr {address} " if address else ""
    return "".join(
        f"add rule ip faults_of_names names {whose}{protocol} dport 53 counter drop\n"
        for protocol in ("udp", "tcp")
    )


def lost(family: str, members: Sequence[str], percent: float) -> str:
    """A part of all packets between members is dropped, by chance."""
    chance = f"numgen random mod 10000 < {round(percent * 100)}"
    return f"add rule {family} faults between ip daddr {{ {', '.join(members)} }} {chance} counter drop\n"


def _allowed(rule: Mapping[str, Any], index: int, where: str) -> str:
    """One rule of the group as nftables' condition; empty for a rule about IPv6, which is not there."""
    unknown = sorted(set(rule) - _KNOWN)
    direction = rule.get("direction", "ingress")
    if unknown or direction != "ingress":
        _refuse(index, where, unknown[0] if unknown else f"direction {direction}")
    if rule.get("ethertype", "IPv4") != "IPv4":
        return ""
    source = ""
    if rule.get("remote_mode") == "remote_group_id":
        source = "ip saddr @members "
    elif rule.get("remote_ip_prefix") not in (None, "", "0.0.0.0/0"):
        source = f"ip saddr {ipaddress.IPv4Network(str(rule['remote_ip_prefix']), strict=False)} "
    return f"{source}{_traffic(rule, index, where)}accept"


def _traffic(rule: Mapping[str, Any], index: int, where: str) -> str:
    protocol = str(rule.get("protocol") or "any").lower()
    first, last = rule.get("port_range_min"), rule.get("port_range_max")
    if protocol == "any":
        return ""
    if protocol == "icmp":
        return f"icmp type {int(first)} " if first is not None else "meta l4proto icmp "
    if protocol in ("tcp", "udp", "sctp"):
        if first is None and last is None:
            return f"meta l4proto {protocol} "
        ports = sorted({int(port) for port in (first, last) if port is not None})
        return f"{protocol} dport {'-'.join(map(str, ports))} "
    return _refuse(index, where, f"protocol {protocol}")


def _refuse(index: int, where: str, part: str) -> str:
    what = f"rule {index + 1} of the security group has {part}, which level namespace does not know"
    fix = "rehearse with --level process, where no rule is shown"
    raise ProblemsFound(Problem(code="rule-not-rehearsable", what=what, where=where, fix=fix))
