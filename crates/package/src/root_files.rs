//! A root file system as a tar (POSIX.1-2017 `pax`, and what GNU tar makes of it): looked through as a whole before anybody unpacks it.
//!
//! Owns: that it is a tar, how large what is in it is, and that no entry is larger than what is there of it. Owns not: unpacking, which podman
//! does confined to the image's own folder; what an entry's name or link leads to, which is looked up there.

use crate::PackageError;
use domain::limits;
use std::io::{self, Read};

/// What everything in a tar is a multiple of.
const BLOCK: usize = 512;
/// Bytes of a record that says more of the entry behind it, such as a long name.
const RECORD_BYTES_MAX: u64 = 1024 * 1024;

/// How large a root file system may be.
#[derive(Clone, Copy, Debug)]
pub struct RootFilesLimits {
    /// Bytes of the tar. What is in it has no more, as holes are not taken.
    pub bytes: u64,
    /// Files, directories, links and devices.
    pub entries: u64,
}

impl Default for RootFilesLimits {
    fn default() -> Self {
        Self { bytes: limits::ROOT_FILES_BYTES_MAX, entries: limits::ROOT_FILES_ENTRIES_MAX }
    }
}

/// Looks a tar through to its end. Answers how many entries it has.
///
/// # Errors
/// [`PackageError`]: it is none, it is too large, or it has an entry that we do not hand on.
pub fn check_root_files(tar: impl Read, allowed: RootFilesLimits) -> Result<u64, PackageError> {
    let too_large = |what, limit| PackageError::TooLarge { what, limit };
    // One byte more, so that who has as many as there may be is told from who has more.
    let mut tar = Counted { inner: tar, left: allowed.bytes.saturating_add(1) };
    let checked = entries(&mut tar, allowed.entries);
    if tar.left == 0 {
        return Err(too_large("bytes", allowed.bytes));
    }
    match checked {
        Ok(0) => Err(not_sound("nothing is in it")),
        checked => checked,
    }
}

fn entries(tar: &mut impl Read, most: u64) -> Result<u64, PackageError> {
    let mut count = 0;
    // What a record before an entry says of its size.
    let mut told = None;
    loop {
        let mut block = [0; BLOCK];
        // Two empty blocks end it; other programs end it with the file.
        if !whole(tar, &mut block)? || block == [0; BLOCK] {
            return Ok(count);
        }
        let header = Header::parse(&block)?;
        match header.kind {
            // Long names and links of GNU tar, records of pax for one entry and for all.
            b'L' | b'K' => drop(record(tar, header.size)?),
            kind @ (b'x' | b'g') => {
                let record = record(tar, header.size)?;
                let said = said(&record)?;
                if kind == b'x' {
                    told = said;
                } else if said.is_some() {
                    return Err(not_sound("it says one size for all its entries"));
                }
            }
            b'0' | 0 | b'7' | b'1'..=b'6' => {
                count += 1;
                if count > most {
                    return Err(PackageError::TooLarge { what: "entries", limit: most });
                }
                skip(tar, told.take().unwrap_or(header.size))?;
            }
            // Among them GNU's `S`: a file with holes, which may be larger than every disk.
            _ => return Err(not_sound("an entry is of a kind that is not taken, such as a file with holes")),
        }
    }
}

struct Header {
    kind: u8,
    size: u64,
}

impl Header {
    fn parse(block: &[u8; BLOCK]) -> Result<Self, PackageError> {
        const SUM: std::ops::Range<usize> = 148..156;
        let none = || not_sound("it is no tar, or is broken; one that is compressed is to be unpacked first");
        let field = |range: std::ops::Range<usize>| block.get(range).unwrap_or_default();
        // Its own place counts as spaces. Old programs took bytes for signed numbers.
        let bytes = block.iter().enumerate().map(|(at, byte)| if SUM.contains(&at) { b' ' } else { *byte });
        let (unsigned, signed) = bytes.fold((0_i64, 0_i64), |(unsigned, signed), byte| {
            (unsigned + i64::from(byte), signed + i64::from(byte.cast_signed()))
        });
        let sum = number(field(SUM)).and_then(|sum| i64::try_from(sum).ok()).ok_or_else(none)?;
        if sum != unsigned && sum != signed {
            return Err(none());
        }
        let kind = field(156..157).first().copied().unwrap_or_default();
        let size = number(field(124..136)).ok_or_else(none)?;
        // Links, devices and folders have no content, whatever is said.
        let size = if (b'1'..=b'6').contains(&kind) { 0 } else { size };
        Ok(Self { kind, size })
    }
}

/// In octal, or as GNU tar has it if that has too few digits: as bytes, after a bit that says so.
fn number(field: &[u8]) -> Option<u64> {
    const BINARY: u8 = 0x80;
    let (first, rest) = field.split_first()?;
    if *first == BINARY {
        let (high, low) = rest.split_at_checked(rest.len().checked_sub(8)?)?;
        return high
            .iter()
            .all(|byte| *byte == 0)
            .then(|| low.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)));
    }
    let digits = field.trim_ascii_start();
    let end = digits.iter().position(|byte| matches!(byte, b' ' | 0)).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at_checked(end)?;
    if rest.iter().any(|byte| !matches!(byte, b' ' | 0)) {
        return None;
    }
    let digits = std::str::from_utf8(digits).ok()?;
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

/// What a pax record says of a size, if anything. It may not speak of holes.
fn said(record: &[u8]) -> Result<Option<u64>, PackageError> {
    let broken = || not_sound("a record in it is broken");
    let (mut rest, mut size) = (record, None);
    // What fills the last block is not of it.
    while let [first, ..] = rest {
        if *first == 0 {
            break;
        }
        let space = rest.iter().position(|byte| *byte == b' ').ok_or_else(broken)?;
        let length =
            rest.get(..space).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<usize>().ok());
        let (line, after) = rest.split_at_checked(length.ok_or_else(broken)?).ok_or_else(broken)?;
        let line = line.get(space + 1..).and_then(|line| line.strip_suffix(b"\n")).ok_or_else(broken)?;
        let equals = line.iter().position(|byte| *byte == b'=').ok_or_else(broken)?;
        let (name, value) = line.split_at_checked(equals).ok_or_else(broken)?;
        if name.starts_with(b"GNU.sparse.") {
            return Err(not_sound("it has a file with holes"));
        }
        if name == b"size" {
            let value = value.get(1..).and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
            size = Some(value.ok_or_else(broken)?);
        }
        rest = after;
    }
    Ok(size)
}

fn record(tar: &mut impl Read, size: u64) -> Result<Vec<u8>, PackageError> {
    if size > RECORD_BYTES_MAX {
        return Err(PackageError::TooLarge { what: "bytes in one record", limit: RECORD_BYTES_MAX });
    }
    let mut record = Vec::new();
    let padded = size.next_multiple_of(BLOCK as u64);
    let read = tar.take(padded).read_to_end(&mut record).map_err(PackageError::files("read"))?;
    if read as u64 != padded {
        return Err(not_sound("it ends in the middle"));
    }
    record.truncate(usize::try_from(size).unwrap_or(usize::MAX));
    Ok(record)
}

fn skip(tar: &mut impl Read, size: u64) -> Result<(), PackageError> {
    let padded =
        size.checked_next_multiple_of(BLOCK as u64).ok_or_else(|| not_sound("it ends in the middle"))?;
    let skipped = io::copy(&mut tar.take(padded), &mut io::sink()).map_err(PackageError::files("read"))?;
    if skipped == padded { Ok(()) } else { Err(not_sound("it ends in the middle")) }
}

/// A whole block, or none at the end.
fn whole(tar: &mut impl Read, block: &mut [u8; BLOCK]) -> Result<bool, PackageError> {
    let mut filled = 0;
    while let Some(left) = block.get_mut(filled..).filter(|left| !left.is_empty()) {
        match tar.read(left) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(not_sound("it ends in the middle")),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(PackageError::files("read")(error)),
        }
    }
    Ok(true)
}

fn not_sound(why: &str) -> PackageError {
    PackageError::NotRootFiles { why: why.to_owned() }
}

/// Ends once so much was read.
struct Counted<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.inner.read(buffer.get_mut(..most).unwrap_or_default())?;
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, kind: u8, size: u64) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
        block[156] = kind;
        block[257..263].copy_from_slice(b"ustar\0");
        summed(block)
    }

    fn summed(mut block: [u8; BLOCK]) -> [u8; BLOCK] {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        block
    }

    fn padded(content: &[u8]) -> Vec<u8> {
        let mut content = content.to_vec();
        content.resize(content.len().next_multiple_of(BLOCK), 0);
        content
    }

    fn pax(line: &str) -> Vec<u8> {
        let length = (line.len() + 3..).find(|length| format!("{length} {line}\n").len() == *length).unwrap();
        let record = format!("{length} {line}\n");
        [header("pax", b'x', record.len() as u64).as_slice(), &padded(record.as_bytes())].concat()
    }

    fn check(parts: &[&[u8]]) -> Result<u64, String> {
        let limits = RootFilesLimits { bytes: 64 * 1024, entries: 3 };
        check_root_files(&*parts.concat(), limits).map_err(|error| error.to_string())
    }

    #[test]
    fn a_tar_is_counted_to_its_end() {
        let file = [header("a", b'0', 700).as_slice(), &padded(&[b'x'; 700])].concat();
        let folder = header("d/", b'5', 0);
        assert_eq!(check(&[&folder, &file, &[0; 1024]]), Ok(2));
        assert_eq!(check(&[&folder, &file]), Ok(2), "the end may be the file's");
        assert_eq!(check(&[&header("long", b'L', 4), &padded(b"name"), &folder]), Ok(1));
        assert_eq!(check(&[&pax("path=somewhere"), &folder]), Ok(1));
        // The record's word counts, as it does for who unpacks it.
        assert_eq!(check(&[&pax("size=700"), &header("a", b'0', 0), &padded(&[b'x'; 700]), &folder]), Ok(2));
        let mut large = header("a", b'0', 0);
        large[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 188]);
        assert_eq!(check(&[&summed(large), &padded(&[b'x'; 700])]), Ok(1));
    }

    #[test]
    fn what_is_none_or_too_large_is_refused_and_said() {
        let refused = |parts: &[&[u8]]| check(parts).unwrap_err();
        let file = header("a", b'0', 700);
        assert!(refused(&[]).contains("nothing is in it"));
        assert!(refused(&[&[0; 1024]]).contains("nothing is in it"));
        assert!(refused(&[&[0x1f, 0x8b], &[7; 1022]]).contains("compressed"));
        assert!(refused(&[b"PK"]).contains("ends in the middle"));
        assert!(refused(&[&file]).contains("ends in the middle"));
        let mut broken = file;
        broken[0] = b'b';
        assert!(refused(&[&broken, &padded(&[0; 700])]).contains("broken"));
        let folder = header("d", b'5', 0);
        assert!(refused(&[&folder, &folder, &folder, &folder]).contains("3 entries"));
        assert!(refused(&[&header("a", b'0', 1 << 17), &[1; 1 << 17]]).contains("65536 bytes"));
        assert!(refused(&[&header("x", b'x', 2 << 20)]).contains("one record"));
        // Holes, in each way that they are told.
        assert!(refused(&[&header("a", b'S', 0)]).contains("holes"));
        assert!(refused(&[&pax("GNU.sparse.realsize=99999999999999"), &folder]).contains("holes"));
        assert!(refused(&[&pax("size=18446744073709551615"), &header("a", b'0', 0)]).contains("middle"));
    }

    /// Each byte of it changed, in turn, to what a parser may trip over.
    #[test]
    fn a_changed_tar_is_answered_whatever_it_says() {
        let file = [header("a", b'0', 700).as_slice(), &padded(&[b'x'; 700])].concat();
        let whole = [pax("size=700").as_slice(), &file, &header("d/", b'5', 0)].concat();
        for at in 0..whole.len() {
            for byte in [0, b' ', b'9', 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[at] = byte;
                let header = at / BLOCK * BLOCK;
                // With the right sum: what is behind it is looked at, too.
                let block: [u8; BLOCK] = changed[header..header + BLOCK].try_into().unwrap();
                let _any = check(&[&changed]);
                changed[header..header + BLOCK].copy_from_slice(&summed(block));
                let _any = check(&[&changed]);
            }
        }
    }
}
