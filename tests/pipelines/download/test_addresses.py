"""Which addresses are public, by the registries; nothing is sent anywhere."""

import ipaddress
from collections import Counter

import pytest

from curate.pipelines.download.addresses import is_public, special_networks


@pytest.mark.parametrize("network", special_networks(), ids=str)
def test_no_address_of_a_special_network_is_public(network):
    if network in (ipaddress.ip_network("::ffff:0:0/96"), ipaddress.ip_network("64:ff9b::/96")):
        return  # another way to write an IPv4 address, which decides: see below
    for address in (network[0], network[-1], network[network.num_addresses // 2]):
        assert not is_public(str(address))
        if address.version == 4:
            assert not is_public(f"::ffff:{address}")
            assert not is_public(str(ipaddress.ip_address(f"64:ff9b::{address}")))


def test_all_of_the_registries_is_there():
    num = Counter(network.version for network in special_networks())
    assert num[4] >= 26 and num[6] >= 24
    assert len(set(special_networks())) == len(special_networks())


@pytest.mark.parametrize(
    "address",
    ["168.63.129.16", "169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192",
     "fd00:ec2::254", "fd20:ce::254", "fe80::a9fe:a9fe%eth0", "::ffff:168.63.129.16",
     "64:ff9b::a83f:8110", "::168.63.129.16", "64:ff9b:1::101:101", "100::1", "2001::1",
     "2002:101:101::1", "2001:db8::1", "3fff::1", "5f00::1", "4000::1", "fec0::1", "192.88.99.2",
     "192.31.196.1", "192.52.193.1", "192.175.48.1", "192.0.0.9", "2620:4f:8000::1"],
)  # fmt: skip
def test_metadata_services_and_what_is_not_routed_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "168.63.129.15",
     "168.63.129.17", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255", "198.17.0.1",
     "198.20.0.0", "223.255.255.255", "2606:4700::1111", "2001:200::1", "2003::1", "2a00::1",
     "::ffff:1.1.1.1", "64:ff9b::101:101"],
)  # fmt: skip
def test_their_neighbours_are_public(address):
    assert is_public(address)
