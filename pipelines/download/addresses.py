"""Which addresses of the network an image may be fetched from.

A URL in a crawl can name any machine, also one that only this machine can reach. So the address is
checked when the socket for it is made, after names were looked up and redirects followed: what was
checked is what is connected to.
"""

import ipaddress
import socket
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["PrivateAddressError", "is_public", "public_socket"]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# All that IANA has given out to be routed; the rest of IPv6 is special or nobody's.
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")


class PrivateAddressError(OSError):
    """An address that is not one of the public network."""


@cache
def special_networks() -> tuple[_Network, ...]:
    """Return the networks that no web server of the public is in, `special_addresses.tsv`."""
    path = Path(__file__).with_name("special_addresses.tsv")
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
    return tuple(ipaddress.ip_network(line.split("\t")[0]) for line in lines)


def is_public(address: str) -> bool:
    """Tell whether an address is one of the public network.

    What IANA's registries call special is not, whether routers forward it or not: where they do it
    leads to relays and to the nearest of many servers, which may be one's own router. Nor are
    services in which a cloud tells a machine its secrets. An IPv6 address that is another way to
    write an IPv4 address, mapped or of NAT64, is what that is; 6to4 and Teredo are not public.

    Args:
        address: of IPv4 or IPv6, as a socket has it.

    >>> is_public("93.184.215.14"), is_public("::ffff:10.0.0.1"), is_public("168.63.129.16")
    (True, False, False)

    Source: IANA's special-purpose address registries, RFC 6890, RFC 8190; their date stands in
    `special_addresses.tsv`. Python's `ipaddress` differs between versions, and lacks some.
    """
    found: _Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        elif found in _NAT64:
            found = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        elif found not in _GLOBAL_UNICAST:
            return False
    return not any(found in network for network in special_networks())


def public_socket(info: tuple[Any, ...]) -> socket.socket:
    """Return a socket for an address, as `getaddrinfo` describes it.

    Raises:
        PrivateAddressError: the address is not public.
    """
    family, kind, protocol, _, address = info
    if not is_public(address[0]):
        raise PrivateAddressError(f"{address[0]} is no public address")
    return socket.socket(family, kind, protocol)
