//! Network rules: from where a vault may be asked at all (Key Vault firewall: default action and allowed IP ranges).

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, net::IpAddr, str::FromStr};

/// From where a vault may be asked. Everywhere, unless told otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRules {
    /// `None`: from everywhere. Else only from these, and from nowhere if there are none. At most
    /// [`domain::limits::IP_RANGES_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_from: Option<Vec<IpRange>>,
}

impl NetworkRules {
    /// May a request come from there? An address that is not known is in no range.
    pub fn allow(&self, address: Option<IpAddr>) -> bool {
        match &self.only_from {
            None => true,
            Some(ranges) => address.is_some_and(|address| ranges.iter().any(|range| range.contains(address))),
        }
    }
}

/// An address or a range of them: `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32` (RFC 4632, RFC 4291 section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpRange {
    /// Its first address.
    base: IpAddr,
    /// How many leading bits count.
    bits: u8,
}

impl IpRange {
    /// Is this address in it? An IPv4 address in IPv6 clothing is an IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                base.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                base.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for IpRange {
    type Err = domain::NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = domain::NameError {
            what: "address range",
            rule: "an IP address, or one with the number of its leading bits, such as 192.0.2.0/24, the other bits zero",
        };
        let (base, bits) = text.split_once('/').map_or((text, None), |(base, bits)| (base, Some(bits)));
        let base: IpAddr = base.parse().map_err(|_| error.clone())?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(|| error.clone())?
            }
            Some(_) => return Err(error),
        };
        let range = Self { base, bits };
        // 10.0.0.7/8 is two opinions of which range is meant.
        let is_first = match base {
            IpAddr::V4(base) => base.to_bits().checked_shl(u32::from(bits)).unwrap_or(0) == 0,
            IpAddr::V6(base) => base.to_bits().checked_shl(u32::from(bits)).unwrap_or(0) == 0,
        };
        if is_first { Ok(range) } else { Err(error) }
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.base, self.bits)
    }
}

impl Serialize for IpRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for IpRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        domain::text::deserialize(deserializer, str::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_their_addresses_and_no_others() {
        for (range, inside, outside) in [
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("0.0.0.0/0", "203.0.113.9", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("::/0", "::1", "127.0.0.1"),
            ("127.0.0.1", "::ffff:127.0.0.1", "127.0.0.2"),
        ] {
            let parsed: IpRange = range.parse().unwrap();
            assert!(parsed.contains(inside.parse().unwrap()), "{range} {inside}");
            assert!(!parsed.contains(outside.parse().unwrap()), "{range} {outside}");
            assert_eq!(parsed.to_string().parse(), Ok(parsed));
        }
    }

    #[test]
    fn strange_ranges_are_refused() {
        for strange in
            ["", "/", "10.0.0.0/33", "10.0.0.7/8", "10.0.0.0/", "10.0.0.0/+8", "10/8", "::1/129", "localhost"]
        {
            assert!(strange.parse::<IpRange>().is_err(), "{strange}");
        }
    }

    #[test]
    fn rules_close_what_they_do_not_name() {
        let address: Option<IpAddr> = Some("192.0.2.7".parse().unwrap());
        assert!(NetworkRules::default().allow(address) && NetworkRules::default().allow(None));
        let some = NetworkRules { only_from: Some(vec!["192.0.2.0/24".parse().unwrap()]) };
        assert!(some.allow(address) && !some.allow(None) && !some.allow(Some("::1".parse().unwrap())));
        assert!(!NetworkRules { only_from: Some(Vec::new()) }.allow(address));
    }
}
