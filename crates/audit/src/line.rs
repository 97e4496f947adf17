//! The line: one JSON object that begins with its number and the mac of the line before, and ends with its own mac.
//!
//! `{"seq":7,"prev":"<mac of line 6>", the record's members, "torn": only if needed, "mac":"<keyed BLAKE3>"}`. The mac is over all bytes of the
//! line before `,"mac"`; they hold `seq` and `prev`, so that the lines form a chain. Bytes are what is signed: a line is never parsed and
//! written again.

use crate::{AuditError, Origin, Record};
use crypt::{Blake3Key, Key256, MacKey, Sha256Hash, compare, encoding, sha256};
use domain::limits;
use serde::{Deserialize, Serialize};

/// What precedes the first line.
pub(crate) const NO_MAC: [u8; 32] = [0; 32];
const MAC_BEGINS: &[u8] = br#","mac":""#;
const MAC_ENDS: &[u8] = br#""}"#;
/// Bytes of the mac's member, which ends each line.
const MAC_BYTES: usize = MAC_BEGINS.len() + 64 + MAC_ENDS.len();
/// Characters to which texts are cut when a record is too large: four of them, each character at most six bytes, stay below 8 KiB.
const TEXT_CHARS_CUT: usize = 240;

/// Lines that were begun and not finished, for want of space or power: how many, how long, and a hash over them in their order. The next
/// whole line carries it, so that they are accounted for and stay where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Torn {
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
    sha256: Sha256Hash,
}

impl Torn {
    /// Adds one more torn line.
    pub(crate) fn with(earlier: Option<Self>, text: &[u8]) -> Self {
        let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
        match earlier {
            None => Self { lines: 1, bytes, sha256: sha256(text) },
            Some(Self { lines, bytes: before, sha256: hash }) => Self {
                lines: lines.saturating_add(1),
                bytes: before.saturating_add(bytes),
                sha256: sha256([hash.bytes(), text].concat()),
            },
        }
    }
}

/// The keys of the chain, made from the audit key.
#[derive(Debug)]
pub(crate) struct ChainKey {
    key: Blake3Key,
    /// Of lines that were written before ADR 0030: HMAC-SHA256.
    earlier: MacKey,
}

impl ChainKey {
    pub(crate) fn of(key: &Key256) -> Self {
        let earlier = MacKey::new(key.derive("keyless audit chain").expose());
        Self { key: Blake3Key::new(key.derive("keyless audit chain: BLAKE3")), earlier }
    }

    /// Appends the whole line of a record, with its newline, to `line`. Returns its mac.
    pub(crate) fn write(
        &self,
        seq: u64,
        prev: &[u8; 32],
        record: &Record,
        torn: Option<Torn>,
        line: &mut Vec<u8>,
    ) -> Result<[u8; 32], AuditError> {
        let start = line.len();
        line.extend_from_slice(br#"{"seq":"#);
        encoding::json_number(i64::try_from(seq).unwrap_or(i64::MAX), line);
        line.extend_from_slice(br#","prev":""#);
        line.extend_from_slice(&encoding::hex32(prev));
        line.push(b'"');
        append_members(line, record)?;
        if let Some(torn) = torn {
            line.extend_from_slice(br#","torn":"#);
            serde_json::to_writer(&mut *line, &torn)
                .map_err(|_| AuditError::Record { action: record.action })?;
        }
        let mac = self.key.mac(line.get(start..).unwrap_or_default());
        line.extend_from_slice(MAC_BEGINS);
        line.extend_from_slice(&encoding::hex32(&mac));
        line.extend_from_slice(MAC_ENDS);
        line.push(b'\n');
        Ok(mac)
    }

    /// Reads a line without its newline.
    pub(crate) fn read(&self, line: &[u8]) -> Read {
        let Some((text, mac)) = split_mac(line) else { return Read::Unfinished };
        let is_it = |expected: &[u8; 32]| compare::equal(mac, &encoding::hex32(expected));
        let mut expected = self.key.mac(text);
        if !is_it(&expected) {
            expected = self.earlier.mac(&[text]);
            if !is_it(&expected) {
                return Read::Changed;
            }
        }
        match serde_json::from_slice::<Links>(line) {
            Ok(links) => Read::Whole(Whole {
                seq: links.seq,
                prev: *links.prev.bytes(),
                mac: expected,
                torn: links.torn,
                at: links.at,
            }),
            // Its mac holds, so we wrote it: a later version's line, which this one cannot judge.
            Err(_) => Read::Changed,
        }
    }
}

/// What a line turned out to be.
#[derive(Debug)]
pub(crate) enum Read {
    /// One of ours, unchanged.
    Whole(Whole),
    /// It has the form of a whole line, and its mac does not fit.
    Changed,
    /// It does not end as a whole line does.
    Unfinished,
}

/// The links of an unchanged line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole {
    pub(crate) seq: u64,
    pub(crate) prev: [u8; 32],
    pub(crate) mac: [u8; 32],
    pub(crate) torn: Option<Torn>,
    /// When it was written, in seconds since the epoch.
    pub(crate) at: i64,
}

#[derive(Deserialize)]
struct Links {
    seq: u64,
    prev: Sha256Hash,
    #[serde(default)]
    torn: Option<Torn>,
    at: i64,
}

/// A whole line's text and its mac's hex digits.
fn split_mac(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (text, member) = line.split_at_checked(line.len().checked_sub(MAC_BYTES)?)?;
    Some((text, member.strip_prefix(MAC_BEGINS)?.strip_suffix(MAC_ENDS)?))
}

/// Appends a record's members, each after a comma; with its texts cut if it is too large otherwise.
fn append_members(line: &mut Vec<u8>, record: &Record) -> Result<(), AuditError> {
    let start = line.len();
    record.append_members(line);
    if line.len() - start > limits::AUDIT_RECORD_BYTES_MAX {
        line.truncate(start);
        cut(record).append_members(line);
    }
    if line.len() - start > limits::AUDIT_RECORD_BYTES_MAX {
        return Err(AuditError::Record { action: record.action });
    }
    Ok(())
}

/// The record with texts that are sure to fit, and that say that they were cut.
fn cut(record: &Record) -> Record {
    let cut = |text: &String| match text.char_indices().nth(TEXT_CHARS_CUT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.clone(),
    };
    let mut short = record.clone();
    short.target = cut(&record.target);
    short.reason = cut(&record.reason);
    let mut origin = Origin::clone(&record.origin);
    origin.cgroup = record.origin.cgroup.as_ref().map(cut);
    origin.executable = record.origin.executable.as_ref().map(cut);
    short.origin = origin.into();
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::record;
    use crypt::SystemEntropy;
    use serde_json::Value;

    impl ChainKey {
        /// A line without its newline as it would have been written before ADR 0030.
        pub(crate) fn as_before(&self, line: &[u8]) -> Vec<u8> {
            let (text, _) = split_mac(line).unwrap();
            [text, MAC_BEGINS, &encoding::hex32(&self.earlier.mac(&[text])), MAC_ENDS].concat()
        }
    }

    fn line(record: &Record, torn: Option<Torn>) -> (ChainKey, Vec<u8>) {
        let key = ChainKey::of(&Key256::random(&SystemEntropy));
        let mut line = vec![];
        key.write(7, &[0xab; 32], record, torn, &mut line).unwrap();
        assert_eq!(line.pop(), Some(b'\n'));
        (key, line)
    }

    #[test]
    fn a_line_is_one_object_with_the_chain_around_the_record() {
        let torn = Torn::with(Some(Torn::with(None, b"{\"se")), b"\0\0");
        let (key, line) = line(&record("secret.get"), Some(torn));
        let value: Value = serde_json::from_slice(&line).unwrap();
        let keys: Vec<&String> = value.as_object().unwrap().keys().collect();
        assert_eq!(keys.len(), 12, "{keys:?}");
        assert_eq!(
            (&value["seq"], &value["action"], &value["torn"]["lines"]),
            (&7.into(), &"secret.get".into(), &2.into())
        );
        let Read::Whole(whole) = key.read(&line) else { panic!("{:?}", key.read(&line)) };
        assert_eq!((whole.seq, whole.prev, whole.torn), (7, [0xab; 32], Some(torn)));
        assert_eq!(encoding::hex(&whole.mac), value["mac"].as_str().unwrap());
    }

    #[test]
    fn a_line_of_before_is_read_with_its_own_key() {
        let (key, line) = line(&record("secret.get"), None);
        let (text, _) = split_mac(&line).unwrap();
        let Read::Whole(whole) = key.read(&key.as_before(&line)) else { panic!("it is one of ours") };
        assert_eq!(whole.mac, key.earlier.mac(&[text]));
        let (stranger, _) = self::line(&record("secret.get"), None);
        assert!(matches!(key.read(&stranger.as_before(&line)), Read::Changed));
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let (key, line) = line(&record("secret.get"), None);
        for at in 0..line.len() {
            for bit in 0..8 {
                let mut changed = line.clone();
                changed[at] ^= 1 << bit;
                assert!(!matches!(key.read(&changed), Read::Whole(_)), "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn control_characters_cannot_break_a_line() {
        let mut record = record("secret.get");
        record.target = "a\nb\r\u{0}\u{1b}[31m\u{2028}\"}".to_owned();
        let (key, line) = line(&record, None);
        assert!(!line.iter().any(|byte| *byte < 0x20));
        assert!(matches!(key.read(&line), Read::Whole(_)));
        let value: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["target"], record.target.as_str());
    }

    #[test]
    fn large_texts_are_cut_and_say_so() {
        let mut record = record("secret.get");
        for text in ["é", "\u{0}", "😀"] {
            record.target = text.repeat(100_000);
            record.reason = text.repeat(100_000);
            let long = Some(text.repeat(100_000));
            record.origin =
                Origin { cgroup: long.clone(), executable: long, ..Origin::clone(&record.origin) }.into();
            let (key, line) = line(&record, None);
            assert!(line.len() < limits::AUDIT_RECORD_BYTES_MAX + 300, "{}", line.len());
            let value: Value = serde_json::from_slice(&line).unwrap();
            assert!(value["target"].as_str().unwrap().ends_with('…'));
            assert!(matches!(key.read(&line), Read::Whole(_)));
        }
    }

    #[test]
    fn strange_lines_are_no_lines() {
        let (key, line) = line(&record("secret.get"), None);
        for strange in [&b""[..], b"{}", b"\0\0\0", &line[..line.len() - 1], &line[1..line.len() - 1]] {
            assert!(matches!(key.read(strange), Read::Unfinished));
        }
        assert!(matches!(key.read(&line[1..]), Read::Changed));
        let stranger = ChainKey::of(&Key256::random(&SystemEntropy));
        assert!(matches!(stranger.read(&line), Read::Changed));
    }
}
