//! Address ranges of a vault, as far as two spellings of one are compared. What may be one is the server's to say.

use std::net::{IpAddr, Ipv4Addr};

/// A range: its first address, and how many leading bits count.
pub(super) type Range = (IpAddr, u8);

/// Is it the word that opens a vault?
pub(super) const fn is_any(text: &str) -> bool {
    text.eq_ignore_ascii_case("any")
}

/// A range as it is written; nothing if it is none.
pub(super) fn parse(text: &str) -> Option<Range> {
    let (base, bits) = text.split_once('/').map_or((text, None), |(base, bits)| (base, Some(bits)));
    let base: IpAddr = base.parse().ok()?;
    let most = if base.is_ipv4() { 32 } else { 128 };
    let bits: u8 = bits.map_or(Some(most), |bits| bits.parse().ok().filter(|bits| *bits <= most))?;
    // 10.0.0.7/8 is two opinions of which range is meant.
    let is_first = match base {
        IpAddr::V4(base) => base.to_bits().checked_shl(u32::from(bits)).unwrap_or(0) == 0,
        IpAddr::V6(base) => base.to_bits().checked_shl(u32::from(bits)).unwrap_or(0) == 0,
    };
    is_first.then_some((base, bits))
}

/// All ranges in one order, each once; nothing for everywhere.
pub(super) fn normal(ranges: &[String]) -> Option<Vec<Range>> {
    if let [one] = ranges
        && is_any(one)
    {
        return None;
    }
    let mut all: Vec<Range> = ranges.iter().filter_map(|range| parse(range)).collect();
    all.sort_unstable();
    all.dedup();
    Some(all)
}

/// Is 127.0.0.1 in one of them?
pub(super) fn has_loopback(ranges: &[Range]) -> bool {
    ranges.iter().any(|(base, bits)| match base {
        IpAddr::V4(base) => {
            let other = base.to_bits() ^ Ipv4Addr::LOCALHOST.to_bits();
            other.checked_shr(32 - u32::from(*bits)).unwrap_or(0) == 0
        }
        IpAddr::V6(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_are_alike() {
        let of = |all: &[&str]| normal(&all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["192.0.2.7", "::1"]), of(&["::1/128", "192.0.2.7/32", "::1"]));
        assert_ne!(of(&["10.0.0.0/8"]), of(&["10.0.0.0/9"]));
        assert_eq!(of(&["ANY"]), None);
        assert_eq!(of(&[]), Some(Vec::new()));
        for none in ["", "x", "10.0.0.0/33", "10.0.0.0/", "10.0.0.7/8", "any"] {
            assert_eq!(parse(none), None, "{none}");
        }
    }

    #[test]
    fn loopback_is_found_in_its_ranges() {
        for (range, is_in) in [
            ("127.0.0.1", true),
            ("127.0.0.0/8", true),
            ("0.0.0.0/0", true),
            ("10.0.0.0/8", false),
            ("::1", false),
        ] {
            assert_eq!(has_loopback(&[parse(range).unwrap()]), is_in, "{range}");
        }
    }
}
