//! The resource manager's paths: segments in which words are the same in any case, and what they lie in. Pure.

use super::error::ArmError;
use domain::ResourceGroupName;
use percent_encoding::percent_decode_str;

/// Segments of a path, at most. Ours: the deepest that is here has 13.
const SEGMENTS_MAX: usize = 20;

/// In what something lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Nothing: it is the tenant's.
    Tenant,
    /// The subscription.
    Subscription,
    /// A resource group.
    Group(ResourceGroupName),
}

/// The segments of a path, decoded. Several slashes are one: clients glue paths to a base that ends in one, and leave the parent of what has
/// none empty (Resources, Get).
pub(super) fn segments(path: &str) -> Result<Vec<String>, ArmError> {
    let segments = path.split('/').filter(|segment| !segment.is_empty()).map(|segment| {
        let decoded = percent_decode_str(segment).decode_utf8().map_err(|_| ArmError::no_such_path())?;
        if decoded.contains('/') || decoded.contains('\0') {
            return Err(ArmError::no_such_path());
        }
        Ok(decoded.into_owned())
    });
    let segments: Vec<String> = segments.take(SEGMENTS_MAX + 1).collect::<Result<_, _>>()?;
    // No name at all is a place nowhere, though nothing in it is wrong.
    if (1..=SEGMENTS_MAX).contains(&segments.len()) { Ok(segments) } else { Err(ArmError::no_such_path()) }
}

/// Is this segment that word?
pub(super) fn is(segment: &str, word: &str) -> bool {
    segment.eq_ignore_ascii_case(word)
}

/// A name in a path.
pub(super) fn name<T>(
    segment: &str,
    parse: impl FnOnce(&str) -> Result<T, domain::NameError>,
) -> Result<T, ArmError> {
    parse(segment).map_err(|error| ArmError::bad_name(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_are_one_and_nothing_hides_in_a_segment() {
        assert_eq!(segments("//metadata/endpoints").unwrap(), ["metadata", "endpoints"]);
        assert_eq!(segments("/a%20b/c/").unwrap(), ["a b", "c"]);
        assert_eq!(segments("/vaults//till").unwrap(), ["vaults", "till"]);
        for bad in ["", "/", "//", "/a%2Fb", "/a/%00", "/%ff", &"/a".repeat(21)] {
            assert!(segments(bad).is_err(), "{bad}");
        }
    }
}
