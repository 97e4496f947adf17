//! Archives made byte by byte, so that they can be wrong in every way that a library would not write.

/// An entry, and what the archive says of it.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    /// The name in the entry's own head, if it is another one.
    pub(crate) local_name: Option<Vec<u8>>,
    /// As they stand in the archive.
    pub(crate) bytes: Vec<u8>,
    pub(crate) method: u16,
    pub(crate) flags: u16,
    pub(crate) crc: u32,
    pub(crate) size: u32,
    pub(crate) mode: u32,
    /// Where the list says that it begins, if elsewhere than it does.
    pub(crate) offset: Option<u32>,
    pub(crate) extra: Vec<u8>,
}

pub(crate) fn file(name: impl AsRef<[u8]>, bytes: impl AsRef<[u8]>) -> Entry {
    let (name, bytes) = (name.as_ref().to_vec(), bytes.as_ref().to_vec());
    let (crc, size) = (crc32(&bytes), bytes.len() as u32);
    let mode = 0o100_644;
    Entry {
        name,
        local_name: None,
        bytes,
        method: 0,
        flags: 0,
        crc,
        size,
        mode,
        offset: None,
        extra: Vec::new(),
    }
}

pub(crate) fn link(name: &str, target: impl AsRef<[u8]>) -> Entry {
    Entry { mode: 0o120_777, ..file(name, target) }
}

pub(crate) fn directory(name: &str) -> Entry {
    Entry { mode: 0o040_755, ..file(name, "") }
}

/// An archive of these.
pub(crate) fn archive(entries: &[Entry]) -> Vec<u8> {
    let (mut out, mut list) = (Vec::new(), Vec::new());
    for entry in entries {
        let offset = entry.offset.unwrap_or(out.len() as u32);
        let local = entry.local_name.as_ref().unwrap_or(&entry.name);
        out.extend(0x0403_4b50_u32.to_le_bytes());
        out.extend(20_u16.to_le_bytes());
        common(&mut out, entry, local.len());
        out.extend(local);
        out.extend(&entry.extra);
        out.extend(&entry.bytes);
        list.extend(0x0201_4b50_u32.to_le_bytes());
        // Made on Unix, so that its mode counts.
        list.extend((3_u16 << 8 | 20).to_le_bytes());
        list.extend(20_u16.to_le_bytes());
        common(&mut list, entry, entry.name.len());
        list.extend([0; 6]);
        list.extend((entry.mode << 16).to_le_bytes());
        list.extend(offset.to_le_bytes());
        list.extend(&entry.name);
        list.extend(&entry.extra);
    }
    let (start, length) = (out.len() as u32, list.len() as u32);
    out.extend(list);
    out.extend(0x0605_4b50_u32.to_le_bytes());
    out.extend([0; 4]);
    out.extend((entries.len() as u16).to_le_bytes());
    out.extend((entries.len() as u16).to_le_bytes());
    out.extend(length.to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0; 2]);
    out
}

/// What both heads of an entry have in common.
fn common(out: &mut Vec<u8>, entry: &Entry, name_length: usize) {
    out.extend(entry.flags.to_le_bytes());
    out.extend(entry.method.to_le_bytes());
    // 1980-01-01.
    out.extend([0, 0, 0x21, 0]);
    out.extend(entry.crc.to_le_bytes());
    out.extend((entry.bytes.len() as u32).to_le_bytes());
    out.extend(entry.size.to_le_bytes());
    out.extend((name_length as u16).to_le_bytes());
    out.extend((entry.extra.len() as u16).to_le_bytes());
}

pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    };
    !bytes.iter().fold(!0, step)
}
