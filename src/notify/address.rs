//! Which network addresses a user-given URL may lead to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether `address` is on the public internet, so that a URL in a channel may lead there.
///
/// Everything else is refused: otherwise whoever may edit a channel could make the daemon post into
/// its own network or read a cloud's metadata service (169.254.169.254, fd00:ec2::254, 100.100.100.200).
/// The ranges are those of the IANA special-purpose registries (RFC 6890 and its updates).
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, d] = v4.octets();
    !(v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_multicast()
        || v4.is_documentation()
        || a == 0
        // Carrier-grade NAT, also some clouds' metadata.
        || (a == 100 && (64..=127).contains(&b))
        // Protocol assignments, but for the two anycast services in it.
        || (a == 192 && b == 0 && c == 0 && d != 9 && d != 10)
        // 6to4 relays.
        || (a == 192 && b == 88 && c == 99)
        // Benchmarks.
        || (a == 198 && (b == 18 || b == 19))
        // Reserved, and broadcast.
        || a >= 240)
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    let segments = v6.segments();
    let [s0, s1, s2, s3, s4, s5, s6, s7] = segments;
    let [high_a, low_a] = s6.to_be_bytes();
    let [high_b, low_b] = s7.to_be_bytes();
    let last_four = Ipv4Addr::new(high_a, low_a, high_b, low_b);
    // Addresses that carry an IPv4 address lead to it.
    if (s0, s1, s2, s3, s4) == (0, 0, 0, 0, 0) && (s5 == 0xffff || s5 == 0) {
        // Mapped addresses; the compatible ones, `::` and `::1` are never public.
        return s5 == 0xffff && is_public_v4(last_four);
    }
    if (s0, s1, s2, s3, s4, s5) == (0x64, 0xff9b, 0, 0, 0, 0) {
        return is_public_v4(last_four);
    }
    // Only 2000::/3 is global unicast: that leaves out fc00::/7, fe80::/10, fec0::/10, ff00::/8,
    // 100::/64, the local-use NAT64 prefix 64:ff9b:1::/48, 5f00::/16 and ::ffff:0:0:0/96.
    (s0 & 0xe000) == 0x2000
        // Protocol assignments with Teredo and ORCHID.
        && !(s0 == 0x2001 && s1 < 0x0200)
        // Documentation.
        && !(s0 == 0x2001 && s1 == 0x0db8)
        && !(s0 == 0x3fff && s1 < 0x1000)
        // 6to4 carries any IPv4 address.
        && s0 != 0x2002
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_pass() {
        let public = [
            "1.1.1.1",
            "8.8.8.8",
            "99.255.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.0.9",
            "198.17.0.1",
            "223.255.255.1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2606:4700:4700::1111",
            "2a00:1450::1",
        ];
        let refused = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.1",
            "192.0.0.1",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ];
        for (list, expected) in [(&public[..], true), (&refused[..], false)] {
            for text in list {
                let address: IpAddr = text.parse().expect(text);
                assert_eq!(is_public(address), expected, "{text}");
            }
        }
    }
}
