//! The commit log: what makes a commit durable, before it gets to the tables with many others. Segments of frames, each a batch; the last
//! segment is written to, until it is large enough. What the tables have and followers are not told any more goes, segment by segment.

mod folder;
mod frame;
#[cfg(test)]
mod tests;

use crate::contract::{Position, StoreError};
pub(super) use folder::{Directory, Folder, Segment};
pub(super) use frame::Committed;
use std::{collections::VecDeque, io};

/// Begins each segment.
const SEGMENT_MAGIC: &[u8] = b"keyless commits 1\n";
/// Bytes of a segment that is read. Ours: several times what is ever written to one (`RedbOptions::layer_bytes` and a frame).
const SEGMENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The log of one store; of one thread.
pub(super) struct Log {
    folder: Box<dyn Folder>,
    /// First revisions of segments, oldest first.
    segments: VecDeque<u64>,
    /// The last of them and its length, unless the next frame begins another one.
    open: Option<(Box<dyn Segment>, u64)>,
    /// A segment with so many bytes is the last one no more.
    segment_bytes: u64,
    /// Bytes that were appended since [`Log::mark`]; at first those of what is in the log only.
    appended: usize,
    /// A frame as it is made.
    frame: Vec<u8>,
}

/// What became of a frame that was not appended.
pub(super) enum Failure {
    /// Nothing of it is in the log.
    Absent(StoreError),
    /// Nobody knows whether it is, until the log is opened again; and why.
    Unknown(String),
}

impl Log {
    /// Opens a log, and tells each commit in it, oldest first: the commit before and itself; is it in the log only? A frame at its very end
    /// that was not written wholly was acknowledged to nobody, and is cut off; one that is whole is durable once this is done.
    ///
    /// # Errors
    /// [`StoreError::Broken`] if it is damaged anywhere else, or not one chain; those of the folder.
    pub(super) fn open(
        folder: Box<dyn Folder>,
        segment_bytes: u64,
        mut tell: impl FnMut(Position, Committed) -> bool,
    ) -> Result<Self, StoreError> {
        let mut segments = VecDeque::from(folder.list().map_err(unavailable)?);
        let mut open = None;
        let mut appended = 0;
        let mut reached: Option<Position> = None;
        for (index, name) in segments.iter().enumerate() {
            let bytes = folder.read(*name).map_err(unavailable)?;
            if bytes.len() > SEGMENT_BYTES_MAX {
                return Err(damaged("a segment is too large"));
            }
            let is_last = index + 1 == segments.len();
            let Some(mut rest) = bytes.strip_prefix(SEGMENT_MAGIC) else {
                if is_last && !frame::is_any_in(&bytes) {
                    break;
                }
                return Err(damaged("a segment has no beginning"));
            };
            let mut first = Some(*name);
            while let Some((commits, after)) = frame::decode(rest) {
                let mut is_needed = false;
                for framed in commits {
                    let at = framed.committed.position;
                    let before = reached.unwrap_or(Position {
                        revision: at.revision.wrapping_sub(1),
                        commit: framed.previous,
                    });
                    if before.revision.wrapping_add(1) != at.revision
                        || before.commit != framed.previous
                        || first.take().is_some_and(|named| named != at.revision)
                    {
                        return Err(damaged("a commit is missing"));
                    }
                    is_needed |= tell(before, framed.committed);
                    reached = Some(at);
                }
                if is_needed {
                    appended += rest.len() - after.len();
                }
                rest = after;
            }
            if !rest.is_empty() && (!is_last || frame::is_any_in(rest)) {
                return Err(damaged("a frame is not what was written"));
            }
            if is_last && first.is_none() {
                let mut segment = folder.open(*name).map_err(unavailable)?;
                let whole = bytes.strip_suffix(rest).unwrap_or(&bytes);
                let length = whole.len() as u64;
                if !rest.is_empty() {
                    segment.cut(length).map_err(unavailable)?;
                }
                // Who wrote the last frame may have ended, or failed, before it was on the disk. Written again, as after a failed sync the
                // system takes what it has in memory for written.
                segment.write(0, whole).map_err(unavailable)?;
                folder.sync().map_err(unavailable)?;
                open = Some((segment, length));
            }
        }
        // A last one without a frame is from when nothing could be written to it.
        if let Some(empty) = segments.pop_back_if(|_| open.is_none()) {
            folder.remove(empty).map_err(unavailable)?;
        }
        Ok(Self { folder, segments, open, segment_bytes, appended, frame: Vec::new() })
    }

    /// Makes commits durable that follow `before`.
    pub(super) fn append<'a>(
        &mut self,
        before: Position,
        commits: impl Iterator<Item = &'a Committed>,
    ) -> Result<(), Failure> {
        self.frame.clear();
        let (mut segment, length) = match self.open.take() {
            Some(open) => open,
            None => {
                self.frame.extend_from_slice(SEGMENT_MAGIC);
                let name = before.revision + 1;
                let made = self.folder.open(name).map_err(|error| {
                    Failure::Absent(if super::is_full(&error) { super::full() } else { unavailable(error) })
                })?;
                // After another failure than that, no later sync proves that its name is on the disk: nothing may be written to it.
                self.folder.sync().map_err(|error| failure(super::is_full(&error), &error))?;
                self.segments.push_back(name);
                (made, 0)
            }
        };
        frame::encode(&mut self.frame, before, commits);
        let written = segment.write(length, &self.frame);
        if let Err(error) = written {
            // One that was just made is as good as none, and is made again.
            let is_cut = super::is_full(&error) && segment.cut(length).is_ok();
            if length == 0 {
                self.segments.pop_back();
            } else {
                self.open = Some((segment, length));
            }
            return Err(failure(is_cut, &error));
        }
        self.appended += self.frame.len();
        let length = length + self.frame.len() as u64;
        self.open = Some((segment, length)).filter(|_| length < self.segment_bytes);
        Ok(())
    }

    /// Bytes that were appended since [`Log::mark`].
    pub(super) const fn appended(&self) -> usize {
        self.appended
    }

    /// From here on [`Log::appended`] counts.
    pub(super) const fn mark(&mut self) {
        self.appended = 0;
    }

    /// Commits up to and with this revision are not needed any more.
    pub(super) fn prune(&mut self, through: u64) {
        // A segment's last commit is the one before the next one's first.
        while let (Some(oldest), Some(next)) = (self.segments.front(), self.segments.get(1)) {
            // What could not be removed is no harm: it is tried again with the next, or when the log is opened.
            if *next > through + 1 || self.folder.remove(*oldest).is_err() {
                return;
            }
            self.segments.pop_front();
        }
    }
}

/// Of a disk that refused, or of one that is full and has nothing of it.
fn failure(is_certainly_full: bool, error: &io::Error) -> Failure {
    if is_certainly_full { Failure::Absent(super::full()) } else { Failure::Unknown(told(error)) }
}

fn told(error: &io::Error) -> String {
    format!("its commit log (the folder beside the file): {error}")
}

pub(super) fn unavailable(error: io::Error) -> StoreError {
    StoreError::Unavailable(told(&error))
}

pub(super) fn damaged(why: &str) -> StoreError {
    unfit(&format!("{why}: {}", crate::contract::BACKUP))
}

/// It and the file are of different times. Says what to do.
pub(super) fn unfit(why: &str) -> StoreError {
    StoreError::Broken(format!("its commit log (the folder beside the file): {why}"))
}
