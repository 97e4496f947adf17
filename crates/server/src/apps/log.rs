//! An app's log: one file to which its instances and the server append, rotated by size, told to who follows it.
//!
//! A plain file rather than a pipe: it takes what an app says while no server runs. Rotating copies the file and empties it, as the app
//! keeps its descriptor; what is written between the two steps is lost, which is said here rather than hidden. On a full disk the log is
//! emptied although not all of it could be copied: else the disk would stay full.

use super::files::AppFolder;
use axum::body::{Body, Bytes};
use domain::{AppId, Timestamp, limits};
use hyper::body::Frame;
use kernel::files::NOT_WAITING;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    pin::Pin,
    task::{self, Poll},
    time::Duration,
};
use tokio::sync::{broadcast, mpsc};

/// How often somebody who follows is told what is new.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(200);
/// How much is told at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// Opens the log for who appends to it.
pub(crate) fn open(folder: &AppFolder) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(NOT_WAITING).open(folder.log())
}

fn to_read(folder: &AppFolder) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(NOT_WAITING).open(folder.log())
}

/// A line of ours among the app's own. Lost if it cannot be written at once: the log is the app's, who may do with it what it likes.
pub(crate) fn note(folder: &AppFolder, now: Timestamp, text: &str) {
    let line = format!("[keyless {}] {text}\n", time(now));
    if let Err(error) = open(folder).and_then(|mut file| file.write_all(line.as_bytes())) {
        tracing::warn!(%error, "an app's log cannot be written");
    }
}

fn time(now: Timestamp) -> String {
    let at = jiff::Timestamp::from_second(now.seconds()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Rotates the log if it is too long.
pub(crate) fn rotate(folder: &AppFolder) -> io::Result<()> {
    let path = folder.log();
    let length = match fs::metadata(&path) {
        Ok(metadata) => metadata.size(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if length <= limits::LOG_BYTES_MAX {
        return Ok(());
    }
    // Only the end is kept of one that has grown far beyond the limit.
    let mut file = OpenOptions::new().read(true).write(true).custom_flags(NOT_WAITING).open(&path)?;
    file.seek(SeekFrom::Start(length.saturating_sub(limits::LOG_BYTES_MAX)))?;
    let mut earlier =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(folder.earlier_log())?;
    // Whoever writes faster than we copy does not hold us up.
    match io::copy(&mut Read::by_ref(&mut file).take(limits::LOG_BYTES_MAX), &mut earlier) {
        Err(error) if is_full(&error) => {
            tracing::warn!(path = %path.display(), "the disk is full: a part of an app's log is lost");
        }
        copied => drop(copied?),
    }
    file.set_len(0)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// An app, and who says of which apps that they are no more.
pub(crate) type Until = (AppId, broadcast::Receiver<AppId>);

/// The last lines, and then what is added, until the app is gone, if it is followed.
pub(crate) fn tell(folder: &AppFolder, lines: usize, follow: Option<Until>) -> io::Result<Body> {
    let mut file = match to_read(folder) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let (start, mut at) = match &mut file {
        Some(file) => last_lines(file, lines)?,
        None => (Vec::new(), 0),
    };
    let Some((app, mut gone)) = follow else {
        return Ok(Body::from(start));
    };
    let (folder, (sender, receiver)) = (folder.clone(), mpsc::channel::<Result<Bytes, io::Error>>(4));
    tokio::spawn(async move {
        if sender.send(Ok(start.into())).await.is_err() {
            return;
        }
        while !sender.is_closed() && !is_gone(&mut gone, app) {
            match added(&folder, at) {
                Ok((bytes, _)) if bytes.is_empty() => tokio::time::sleep(FOLLOW_INTERVAL).await,
                Ok((bytes, after)) => {
                    at = after;
                    if sender.send(Ok(bytes.into())).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    let _nobody_listens = sender.send(Err(error)).await;
                    return;
                }
            }
        }
    });
    Ok(Body::new(Followed(receiver)))
}

fn is_gone(gone: &mut broadcast::Receiver<AppId>, app: AppId) -> bool {
    loop {
        match gone.try_recv() {
            Ok(one) if one == app => return true,
            // Of so many that it may have been among those that were missed: whoever follows another one asks again.
            Err(broadcast::error::TryRecvError::Lagged(_) | broadcast::error::TryRecvError::Closed) => {
                return true;
            }
            Ok(_) => {}
            Err(broadcast::error::TryRecvError::Empty) => return false,
        }
    }
}

/// A log as it grows.
struct Followed(mpsc::Receiver<io::Result<Bytes>>);

impl hyper::body::Body for Followed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(context).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }
}

/// What was added behind this place, and the place behind that. A log that has become shorter was rotated: it is told from its beginning.
fn added(folder: &AppFolder, at: u64) -> io::Result<(Vec<u8>, u64)> {
    let mut file = match to_read(folder) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.size();
    let from = if length < at { 0 } else { at };
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(CHUNK_BYTES as u64).read_to_end(&mut bytes)?;
    let after = from + bytes.len() as u64;
    Ok((bytes, after))
}

/// The last lines of a file, and its length. Reads from the end, so that a long log costs no more than what is told of it, and no more than
/// a log may be long: what stands in the file is the app's doing.
fn last_lines(file: &mut File, lines: usize) -> io::Result<(Vec<u8>, u64)> {
    let length = file.metadata()?.size();
    let first = length.saturating_sub(limits::LOG_BYTES_MAX);
    let (mut from, mut found, mut parts) = (length, 0, Vec::new());
    while from > first && found <= lines {
        let step = (CHUNK_BYTES as u64).min(from - first);
        from -= step;
        file.seek(SeekFrom::Start(from))?;
        let mut part = vec![0; usize::try_from(step).unwrap_or(CHUNK_BYTES)];
        file.read_exact(&mut part)?;
        found += part.iter().filter(|byte| **byte == b'\n').count();
        parts.push(part);
    }
    parts.reverse();
    let mut told = parts.concat();
    let is_whole = told.last().is_none_or(|last| *last == b'\n');
    let mut ends = told.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let cut = ends.nth(if is_whole { lines } else { lines.saturating_sub(1) }).unwrap_or(0);
    told.drain(..cut);
    Ok((told, length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{apps::files::AppFiles, data::Layout};
    use domain::AppId;

    /// An app's folder in a place of its own, gone with this value.
    struct Folder(AppFolder, std::path::PathBuf);

    impl std::ops::Deref for Folder {
        type Target = AppFolder;

        fn deref(&self) -> &AppFolder {
            &self.0
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(&self.1);
        }
    }

    fn folder(name: &str) -> Folder {
        let root = std::env::temp_dir().join(format!("keyless-log-{name}-{}", std::process::id()));
        let _left_over = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).unwrap();
        let files = AppFiles::of(&Layout::of("/nowhere"), Some(&root), "one".to_owned());
        let folder = files.app(AppId::random(&crypt::SystemEntropy));
        folder.make(None).unwrap();
        Folder(folder, root)
    }

    fn end(folder: &AppFolder, lines: usize) -> String {
        let (bytes, length) = last_lines(&mut File::open(folder.log()).unwrap(), lines).unwrap();
        assert_eq!(length, fs::metadata(folder.log()).unwrap().size());
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_last_lines_are_told() {
        let folder = folder("lines");
        let mut file = open(&folder).unwrap();
        file.write_all(b"one\ntwo\nthree\n").unwrap();
        assert_eq!(end(&folder, 2), "two\nthree\n");
        assert_eq!(end(&folder, 0), "");
        assert_eq!(end(&folder, 9), "one\ntwo\nthree\n");
        file.write_all(b"fo").unwrap();
        assert_eq!(end(&folder, 2), "three\nfo");
        for number in 0..30_000 {
            writeln!(file, " {number}").unwrap();
        }
        assert_eq!(end(&folder, 1), " 29999\n");
        assert_eq!(end(&folder, 20_000).lines().count(), 20_000);
    }

    #[test]
    fn a_long_log_is_rotated_and_goes_on_by_the_same_descriptor() {
        let folder = folder("rotate");
        let mut file = open(&folder).unwrap();
        let line = [b'x'; 1_024];
        for _ in 0..=limits::LOG_BYTES_MAX / 1_024 + 8 {
            file.write_all(&line).unwrap();
        }
        rotate(&folder).unwrap();
        assert_eq!(fs::metadata(folder.earlier_log()).unwrap().size(), limits::LOG_BYTES_MAX);
        file.write_all(b"after\n").unwrap();
        assert_eq!(fs::read(folder.log()).unwrap(), b"after\n");
        // Who followed is told from the beginning of the new one.
        assert_eq!(added(&folder, 10_000).unwrap(), (b"after\n".to_vec(), 6));
        assert_eq!(added(&folder, 6).unwrap(), (Vec::new(), 6));
    }

    #[tokio::test]
    async fn who_follows_is_told_what_is_added() {
        use http_body_util::BodyExt;
        let folder = folder("follow");
        note(&folder, Timestamp::from_seconds(0), "first");
        let (app, (gone, _)) = (AppId::random(&crypt::SystemEntropy), broadcast::channel(4));
        let mut body = tell(&folder, 10, Some((app, gone.subscribe()))).unwrap();
        let mut heard = String::new();
        let mut told = 0;
        while !heard.contains("second") {
            let frame = tokio::time::timeout(Duration::from_secs(10), body.frame()).await.unwrap();
            heard.push_str(str::from_utf8(frame.unwrap().unwrap().data_ref().unwrap()).unwrap());
            told += 1;
            if told == 1 {
                note(&folder, Timestamp::from_seconds(1), "second");
            }
        }
        assert_eq!(heard.lines().count(), 2, "{heard}");
        // Another one is deleted, then this one.
        gone.send(AppId::random(&crypt::SystemEntropy)).unwrap();
        let next = tokio::time::timeout(FOLLOW_INTERVAL * 3, body.frame()).await;
        assert!(next.is_err(), "it goes on");
        gone.send(app).unwrap();
        let next = tokio::time::timeout(Duration::from_secs(10), body.frame()).await.unwrap();
        assert!(next.is_none(), "it ends");
    }
}
