"""Which addresses of the network an image may be fetched from.

A URL in a crawl can name any machine, also one that only this machine can reach. So the address is
checked when the socket for it is made, after names were looked up and redirects followed: what was
checked is what is connected to.
"""

import ipaddress
import socket
from typing import Any

__all__ = ["PrivateAddressError", "is_public", "public_socket"]

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class PrivateAddressError(OSError):
    """An address that is not one of the public network."""


def is_public(address: str) -> bool:
    """Tell whether an address is one of the public network.

    Private, loopback, link-local, shared (CGNAT), multicast and reserved ranges are not, nor are
    IPv6 addresses that stand for such an IPv4 address: mapped, 6to4, Teredo, NAT64.

    Args:
        address: of IPv4 or IPv6, as a socket has it.

    >>> is_public("93.184.215.14"), is_public("::ffff:10.0.0.1"), is_public("169.254.169.254")
    (True, False, False)

    Source: IANA's special-purpose address registries, RFC 6890.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        # These are another way to write an IPv4 address, so that it alone decides.
        if found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        elif found in _NAT64:
            found = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        elif not all(map(_is_global, [i for i in (found.sixtofour, *(found.teredo or ())) if i])):
            return False
    return _is_global(found)


def _is_global(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return address.is_global and not address.is_multicast and not address.is_reserved


def public_socket(info: tuple[Any, ...]) -> socket.socket:
    """Return a socket for an address, as `getaddrinfo` describes it.

    Raises:
        PrivateAddressError: the address is not public.
    """
    family, kind, protocol, _, address = info
    if not is_public(address[0]):
        raise PrivateAddressError(f"{address[0]} is no public address")
    return socket.socket(family, kind, protocol)
