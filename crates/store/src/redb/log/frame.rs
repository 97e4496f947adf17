//! A frame: the commits of one batch, as they stand in a segment. Wholly there or not at all: its checksum says so.

use crate::{
    contract::{CommitId, Key, Position},
    history::Change,
};

/// Begins each frame.
pub(super) const MAGIC: [u8; 4] = *b"kcf1";
/// Magic, bytes of the payload, their CRC-32.
const HEADER_BYTES: usize = 12;
/// Bytes of a payload. Source: a batch is a commit (1 MiB) and less than 1 MiB before it, and what frames add.
const PAYLOAD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A commit as it is kept.
pub(in crate::redb) struct Committed {
    pub(in crate::redb) position: Position,
    pub(in crate::redb) changes: Vec<Change>,
    /// When the entry of each change came to be.
    pub(in crate::redb) created: Vec<u64>,
}

/// A commit out of a frame.
pub(super) struct Framed {
    pub(super) previous: CommitId,
    pub(super) committed: Committed,
}

/// Makes a frame of commits that follow `before`, behind what is in `frame`.
pub(super) fn encode<'a>(
    frame: &mut Vec<u8>,
    before: Position,
    commits: impl Iterator<Item = &'a Committed>,
) {
    let begin = frame.len();
    frame.extend_from_slice(&[0; HEADER_BYTES]);
    let mut previous = before.commit;
    for committed in commits {
        frame.extend_from_slice(&committed.position.revision.to_be_bytes());
        frame.extend_from_slice(&committed.position.commit.0.to_be_bytes());
        frame.extend_from_slice(&previous.0.to_be_bytes());
        // Few enough: `contract::WRITES_MAX`, as are a key's bytes and a value's.
        frame.extend_from_slice(&(committed.changes.len() as u32).to_be_bytes());
        for ((key, value), created) in committed.changes.iter().zip(&committed.created) {
            frame.extend_from_slice(&(key.as_bytes().len() as u16).to_be_bytes());
            frame.extend_from_slice(key.as_bytes());
            frame.push(u8::from(value.is_some()));
            if let Some(value) = value {
                frame.extend_from_slice(&created.to_be_bytes());
                frame.extend_from_slice(&(value.len() as u32).to_be_bytes());
                frame.extend_from_slice(value);
            }
        }
        previous = committed.position.commit;
    }
    let Some((header, payload)) =
        frame.get_mut(begin..).and_then(|frame| frame.split_first_chunk_mut::<HEADER_BYTES>())
    else {
        return;
    };
    let parts = [MAGIC, (payload.len() as u32).to_be_bytes(), crc32fast::hash(payload).to_be_bytes()];
    header.copy_from_slice(parts.as_flattened());
}

/// The frame that `bytes` begin with, and what follows it; `None` if that is no whole one.
pub(super) fn decode(bytes: &[u8]) -> Option<(Vec<Framed>, &[u8])> {
    let (payload, rest) = payload(bytes)?;
    let mut reader = Reader(payload);
    let mut commits = Vec::new();
    while !reader.0.is_empty() {
        commits.push(reader.commit()?);
    }
    (!commits.is_empty()).then_some((commits, rest))
}

/// Is there any whole frame in these bytes, wherever it begins? None can be made up by a value: those are JSON, and a length begins with a
/// zero byte.
pub(super) fn is_any_in(bytes: &[u8]) -> bool {
    let begins = bytes.windows(MAGIC.len()).enumerate().filter(|(_, window)| *window == MAGIC);
    begins.filter_map(|(at, _)| bytes.get(at..)).any(|rest| payload(rest).is_some())
}

fn payload(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut header = Reader(bytes);
    let (magic, length, sum) = (header.array::<4>()?, header.array::<4>()?, header.array::<4>()?);
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
    if magic != MAGIC || length > PAYLOAD_BYTES_MAX {
        return None;
    }
    let (payload, rest) = header.0.split_at_checked(length)?;
    (crc32fast::hash(payload) == u32::from_be_bytes(sum)).then_some((payload, rest))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn commit(&mut self) -> Option<Framed> {
        let revision = u64::from_be_bytes(self.array()?);
        let commit = CommitId(u128::from_be_bytes(self.array()?));
        let previous = CommitId(u128::from_be_bytes(self.array()?));
        let count = u32::from_be_bytes(self.array()?);
        let (mut changes, mut created) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let key = usize::from(u16::from_be_bytes(self.array()?));
            let key = Key::new(self.take(key)?);
            let [is_put] = self.array()?;
            if is_put == 1 {
                created.push(u64::from_be_bytes(self.array()?));
                let length = usize::try_from(u32::from_be_bytes(self.array()?)).ok()?;
                changes.push((key, Some(self.take(length)?.into())));
            } else {
                created.push(0);
                changes.push((key, None));
            }
        }
        let position = Position { revision, commit };
        Some(Framed { previous, committed: Committed { position, changes, created } })
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}
