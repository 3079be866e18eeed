//! What an IP address is to us: ours, the public network's, or never to be touched.
//!
//! The ranges are those of the IANA special-purpose registries (RFC 6890 and its updates). An IPv6 address that carries an IPv4 one
//! (mapped, compatible, NAT64, 6to4) is judged by what it carries, because that is where the packet ends.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses under which clouds hand out credentials to whoever asks: no setting allows them.
pub(super) fn is_metadata(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => metadata_v4(v4),
        IpAddr::V6(v6) => {
            carried_v4(v6).is_some_and(metadata_v4)
                || matches!(
                    v6.segments(),
                    // AWS, Google Cloud, and the link-local form of 169.254.169.254.
                    [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254]
                        | [0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254]
                        | [0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe]
                )
        }
    }
}

fn metadata_v4(ip: Ipv4Addr) -> bool {
    // The whole link-local range, then Alibaba, Oracle and Azure, which use addresses outside it.
    ip.is_link_local() || matches!(ip.octets(), [100, 100, 100, 200] | [192, 0, 0, 192] | [168, 63, 129, 16])
}

/// Loopback or a private network (RFC 1918, RFC 4193, IPv6 link-local): what offline mode may reach. `0.0.0.0` and `::` mean this machine.
pub(super) fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// Globally reachable unicast: the only thing that a URL from a user or from a model may lead to.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => public_v4(v4),
        IpAddr::V6(v6) => public_v6(v6),
    }
}

fn public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224.., ..)          // this network, private, loopback, multicast and reserved
            | (100, 64..=127, _)            // carrier-grade NAT (RFC 6598)
            | (169, 254, _)                 // link-local
            | (172, 16..=31, _)             // private
            | (192, 0, 0 | 2)               // protocol assignments, documentation
            | (192, 88, 99)                 // former 6to4 relays
            | (192, 168, _)                 // private
            | (198, 18 | 19, _)             // benchmarking
            | (198, 51, 100)                // documentation
            | (203, 0, 113) // documentation
    );
    !special && !metadata_v4(ip)
}

fn public_v6(ip: Ipv6Addr) -> bool {
    if let Some(v4) = carried_v4(ip) {
        return public_v4(v4);
    }
    let [a, b, ..] = ip.segments();
    // Only 2000::/3 is handed out for the public network; the exceptions are inside it.
    a & 0xe000 == 0x2000
        && !(a == 0x2001 && b & 0xfe00 == 0) // protocol assignments, Teredo among them
        && !(a == 0x2001 && b == 0x0db8) // documentation
        && !(a == 0x3fff && b & 0xf000 == 0) // documentation
}

/// The IPv4 address inside an IPv6 one: mapped, compatible (`::a.b.c.d`), NAT64 (RFC 6052, RFC 8215) or 6to4 (RFC 3056).
fn carried_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let from = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match ip.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 1, _, _, _, high, low] => {
            Some(from(high, low))
        }
        // `::` and `::1` are addresses of their own, and the rest of ::/16 below is not IPv4.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(from(high, low)),
        [0x2002, high, low, ..] => Some(from(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn no_special_range_is_public_in_any_spelling() {
        for inside in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.254",
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
        ] {
            let IpAddr::V4(v4) = ip(inside) else { panic!("{inside} is IPv4") };
            let [a, b] = [u16::from_be_bytes([v4.octets()[0], v4.octets()[1]]), u16::from_be_bytes([v4.octets()[2], v4.octets()[3]])];
            assert!(!is_public(ip(inside)), "{inside}");
            for carrier in [
                Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, a, b),
                Ipv6Addr::new(0, 0, 0, 0, 0, 0, a, b),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a, b),
                Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, a, b),
                Ipv6Addr::new(0x2002, a, b, 0, 0, 0, 0, 1),
            ] {
                assert!(!is_public(IpAddr::V6(carrier)), "{carrier}");
            }
        }
        for inside in [
            "::",
            "::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "100::1",
            "5f00::1",
        ] {
            assert!(!is_public(ip(inside)), "{inside}");
        }
    }

    #[test]
    fn ordinary_internet_addresses_are_public() {
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.32.0.1",
            "192.1.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "64:ff9b::808:808",
            "::ffff:8.8.8.8",
        ] {
            assert!(is_public(ip(public)), "{public}");
            assert!(!is_local(ip(public)), "{public}");
        }
    }

    #[test]
    fn a_metadata_address_is_recognised_in_every_spelling() {
        for metadata in [
            "169.254.169.254",
            "169.254.170.2",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "100.100.100.200",
        ] {
            assert!(is_metadata(ip(metadata)), "{metadata}");
        }
        assert!(!is_metadata(ip("127.0.0.1")));
    }

    #[test]
    fn loopback_and_private_networks_are_local() {
        for local in ["127.0.0.1", "10.0.0.1", "172.20.0.3", "192.168.0.9", "0.0.0.0", "::1", "fd12::1", "fe80::1", "::ffff:127.0.0.1"] {
            assert!(is_local(ip(local)), "{local}");
        }
        for far in ["100.64.0.1", "192.0.2.1", "64:ff9b::7f00:1", "2002:7f00:1::1"] {
            assert!(!is_local(ip(far)), "{far}");
        }
    }
}
