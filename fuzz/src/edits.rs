//! Inputs that are changes of something good: three bytes each, a place (little-endian, taken modulo the length) and what is xored there.
//! So a mutation of the input is a small change of a genuine token or blob, which no mutation would ever find by itself.

/// The good bytes with the changes. A last byte or two that make no change are left over.
pub(crate) fn apply(good: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut changed = good.to_vec();
    for edit in edits.chunks_exact(3) {
        let place = usize::from(u16::from_le_bytes([edit[0], edit[1]]));
        let length = changed.len().max(1);
        if let Some(byte) = changed.get_mut(place % length) {
            *byte ^= edit[2];
        }
    }
    changed
}
