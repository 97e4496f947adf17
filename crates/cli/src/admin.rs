//! The client of the administrator's socket: HTTP and JSON, one connection a request.
//!
//! Owns: the connection, and what its failures mean to a person. Owns not: what the routes do (`wire::admin`).

use crate::{failure::Failure, https};
use bytes::Bytes;
use domain::Secret;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::{Body, Frame, Incoming};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use server::Layout;
use std::{
    fs::File,
    io::{self, Read},
    pin::Pin,
    task::{self, Poll},
    time::Duration,
};
use tokio::net::UnixStream;

/// The longest that a command waits for something to come: a day.
pub(crate) const WAIT_SECONDS_MAX: u64 = 24 * 60 * 60;

/// How long an answer may take. A start of an app or a verification of a large log takes longest.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// A running server, as its administrator speaks to it.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    layout: Layout,
    is_named: bool,
}

/// What came back, if it was no success.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The HTTP status.
    pub(crate) status: u16,
    message: String,
}

impl Refused {
    /// What the server said.
    pub(crate) fn into_message(self) -> String {
        self.message
    }
}

/// Why there is no good answer.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Nobody answers at the socket.
    Absent(io::Error),
    /// The server said no.
    Refused(Refused),
    /// Something between.
    Broken(String),
}

impl Admin {
    /// Of the server on this data directory.
    pub(crate) const fn new(layout: Layout) -> Self {
        Self { layout, is_named: false }
    }

    /// The same, whose data directory was said for this very command.
    pub(crate) fn named(self) -> Self {
        Self { is_named: true, ..self }
    }

    /// Was its data directory said for this very command?
    pub(crate) const fn is_named(&self) -> bool {
        self.is_named
    }

    /// Where its files are.
    pub(crate) const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Reads something.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let answer = self.send(Method::GET, path, None::<&()>).await;
        self.read(answer)
    }

    /// Asks for something to be done.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let answer = self.send(method, path, Some(body)).await;
        self.read(answer)
    }

    /// Asks for something that has no answer but that it was done.
    pub(crate) async fn order(&self, method: Method, path: &str) -> Result<(), Failure> {
        let answer = self.send(method, path, None::<&()>).await;
        answer.map(drop).map_err(|fault| self.explain(fault))
    }

    /// One request and its answer's body.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Bytes, Fault> {
        let exchange = self.exchange(method, path, body);
        let waited = tokio::time::timeout(ANSWER_TIME_MAX, exchange).await;
        waited.unwrap_or_else(|_| Err(Fault::Broken("the server does not answer; see its log".into())))
    }

    /// Sends a file, and answers what came back.
    pub(crate) async fn upload(&self, path: &str, file: File) -> Result<Bytes, Failure> {
        let length = file.metadata()?.len();
        let body = BoxBody::new(FileBody { file, left: length });
        let request = request(Method::POST, path, "application/zip")
            .header(header::CONTENT_LENGTH, length)
            .body(body)
            .map_err(|error| Failure::new(error.to_string()))?;
        let sent = async { whole(self.begin(request).await?).await };
        sent.await.map_err(|fault| self.explain(fault))
    }

    /// Reads something that goes on and on, piece by piece, until it ends or its reader has gone.
    pub(crate) async fn stream(
        &self,
        path: &str,
        to: impl Fn(&[u8]) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let request = request(Method::GET, path, "application/json")
            .body(BoxBody::new(Full::new(Bytes::new()).map_err(|never| match never {})))
            .map_err(|error| Failure::new(error.to_string()))?;
        let mut answer = self.begin(request).await.map_err(|fault| self.explain(fault))?;
        if !answer.status().is_success() {
            return whole(answer).await.map(drop).map_err(|fault| self.explain(fault));
        }
        while let Some(frame) = answer.body_mut().frame().await {
            let Ok(frame) = frame else {
                return Err(Failure::new("the server has stopped in the middle of its answer"));
            };
            if let Some(piece) = frame.data_ref()
                && to(piece).is_err()
            {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Bytes, Fault> {
        let body = match body {
            Some(body) => https::sent(json(body).map_err(|error| broken(&error))?),
            None => Bytes::new(),
        };
        let body = BoxBody::new(Full::new(body).map_err(|never| match never {}));
        let request = request(method, path, "application/json").body(body).map_err(|error| broken(&error))?;
        whole(self.begin(request).await?).await
    }

    /// One request, and the beginning of its answer.
    async fn begin(&self, request: Request<Outgoing>) -> Result<Response<Incoming>, Fault> {
        let stream = UnixStream::connect(self.layout.admin_socket()).await.map_err(Fault::Absent)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(&error))?;
        // Ends with the sender.
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(|error| broken(&error))
    }

    fn read<T: DeserializeOwned>(&self, answer: Result<Bytes, Fault>) -> Result<T, Failure> {
        let body = answer.map_err(|fault| self.explain(fault))?;
        serde_json::from_slice(&body).map_err(|_| {
            Failure::new("the server's answer is not understood")
                .next("Does its version fit this command's? `keyless version` and `keyless status` say both.")
        })
    }

    /// A fault in words, with what to do next.
    pub(crate) fn explain(&self, fault: Fault) -> Failure {
        let data = self.layout.root().display();
        match fault {
            Fault::Refused(refused) => Failure::refused(refused.status, refused.message),
            Fault::Broken(what) => Failure::new(what),
            Fault::Absent(error) => match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    Failure::new(format!("the server's data directory {data} is another user's"))
                        .next("Run this command as the server's user or as root.")
                }
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => match self.layout.holder() {
                    // `keyless up` would refuse, and say to ask here.
                    Some(pid) => Failure::new(format!(
                        "a server (process {pid}) holds {data}, and nobody answers at its admin socket {}",
                        self.layout.admin_socket().display()
                    ))
                    .next("If it is not just starting or ending, the socket was removed: stop that process and start the server again."),
                    None => Failure::new(format!("no server runs on {data}"))
                        .next("Start it with `keyless up`, or name its directory with --data-dir."),
                },
                _ => Failure::new(format!("the server on {data} cannot be reached: {error}")),
            },
        }
    }
}

/// A body as JSON. Secrets may be in it: written into one buffer, since one that grows leaves pieces of what it held behind.
fn json(body: &impl Serialize) -> serde_json::Result<Secret<Vec<u8>>> {
    struct Counted(usize);
    impl io::Write for Counted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counted = Counted(0);
    serde_json::to_writer(&mut counted, body)?;
    let mut bytes = Vec::with_capacity(counted.0);
    let written = serde_json::to_writer(&mut bytes, body);
    let bytes = Secret::new(bytes);
    written.map(|()| bytes)
}

/// What is sent.
type Outgoing = BoxBody<Bytes, io::Error>;

/// A file that is sent as it is read.
struct FileBody {
    file: File,
    left: u64,
}

/// How much of a file is read at a time.
const PIECE_BYTES: u64 = 256 * 1024;

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let (mut piece, most) = (Vec::new(), self.left.min(PIECE_BYTES));
        match (&mut self.file).take(most).read_to_end(&mut piece) {
            Ok(0) => Poll::Ready(None),
            Ok(read) => {
                self.left -= read as u64;
                Poll::Ready(Some(Ok(Frame::data(piece.into()))))
            }
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }
}

fn request(method: Method, path: &str, content_type: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "keyless")
        .header(header::CONTENT_TYPE, content_type)
}

fn broken(error: &dyn std::fmt::Display) -> Fault {
    Fault::Broken(format!("no answer from the server: {error}"))
}

async fn whole(answer: Response<Incoming>) -> Result<Bytes, Fault> {
    let status = answer.status();
    let body = answer.into_body().collect().await.map_err(|error| broken(&error))?.to_bytes();
    if status.is_success() {
        return Ok(body);
    }
    Err(Fault::Refused(Refused { status: status.as_u16(), message: message(&body) }))
}

/// The message of an error body.
fn message(body: &[u8]) -> String {
    let parsed = serde_json::from_slice::<serde_json::Value>(body).ok();
    let message = parsed.as_ref().and_then(|body| body.get("error")?.get("message")?.as_str());
    message.map_or_else(|| "the server refused without a word; see its log".to_owned(), str::to_owned)
}

/// A text as one segment of a path (RFC 3986 section 3.3).
pub(crate) fn segment(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A long text that is nowhere in memory but where it is asked for.
    fn letter(at: usize) -> u8 {
        b'a' + u8::try_from((at * at * 31 + at * 17 + at / 26) % 26).unwrap()
    }

    const LETTERS: usize = 16 * 1024;

    /// How often a piece of it is where this process's memory is looked at: once in 512 bytes.
    fn pieces() -> usize {
        use std::os::unix::fs::FileExt as _;
        let (maps, memory) =
            (std::fs::read_to_string("/proc/self/maps").unwrap(), File::open("/proc/self/mem").unwrap());
        // The text repeats itself after so many letters.
        let begins = |at: usize| -> [u8; 8] { std::array::from_fn(|more| letter(at + more)) };
        let known: std::collections::HashMap<_, _> = (0..676).map(|at| (begins(at), at)).collect();
        let is_piece = |bytes: &[u8]| {
            let begin = bytes.first_chunk().and_then(|begin| known.get(begin));
            begin.is_some_and(|from| bytes.iter().enumerate().all(|(at, byte)| *byte == letter(from + at)))
        };
        let (mut found, mut piece) = (0, vec![0; 1024 * 1024]);
        for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
            let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
            let [mut from, to] = [from, to].map(|number| u64::from_str_radix(number, 16).unwrap());
            while from < to {
                let most = usize::try_from(to - from).unwrap().min(piece.len());
                let Ok(read @ 1..) = memory.read_at(&mut piece[..most], from) else { break };
                found += piece[..read].chunks(512).filter(|chunk| is_piece(&chunk[..256])).count();
                from += read as u64;
            }
        }
        piece.fill(0);
        found
    }

    /// A command line's words, which clap makes a command of.
    fn command<C: clap::Subcommand>(line: &str) -> C {
        #[derive(clap::Parser)]
        struct Cli<C: clap::Subcommand> {
            #[command(subcommand)]
            command: C,
        }
        <Cli<C> as clap::Parser>::parse_from(std::iter::once("keyless").chain(line.split(' '))).command
    }

    /// Takes requests, forgets them, and answers each that had a piece of the text that it has arrived.
    fn server(listener: &std::os::unix::net::UnixListener, requests: usize) {
        use std::io::Write as _;
        let beginning: Vec<u8> = (0..256).map(letter).collect();
        for _ in 0..requests {
            let mut stream = listener.accept().unwrap().0;
            let (mut taken, mut length) = (vec![0; 2 * LETTERS], 0);
            let body = loop {
                length += stream.read(&mut taken[length..]).unwrap();
                let Some(head) = taken[..length].windows(4).position(|four| four == b"\r\n\r\n") else {
                    continue;
                };
                let text = String::from_utf8_lossy(&taken[..head]).to_lowercase();
                let after = text.split_once("content-length: ").unwrap().1;
                let announced: usize = after.split("\r\n").next().unwrap().parse().unwrap();
                if length == head + 4 + announced {
                    break head + 4;
                }
            };
            let has_it = taken[body..length].windows(beginning.len()).any(|window| window == beginning);
            drop(Secret::new(taken));
            let answer = format!(r#"{{"error":{{"message":"it arrived: {has_it}"}}}}"#);
            let length = answer.len();
            write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: {length}\r\n\r\n{answer}").unwrap();
        }
    }

    /// Settings and passwords, by the commands that send them.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_sent_is_gone_from_memory() {
        use crate::{files, host, output::Format, user};
        let folder = std::env::temp_dir().join(format!("keyless-sent-{}", std::process::id()));
        let admin = Admin::new(Layout::of(folder.clone()));
        let socket = admin.layout().admin_socket();
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let server = std::thread::spawn(move || server(&listener, 3));
        let (setting, password) = (folder.join("setting"), folder.join("password"));
        {
            let mut value = String::with_capacity(LETTERS);
            value.extend((0..LETTERS).map(|at| char::from(letter(at))));
            let value = Secret::new(value);
            files::write(&setting, false, value.expose().as_bytes()).unwrap();
            // As long as one can be.
            files::write(&password, false, &value.expose().as_bytes()[..1024]).unwrap();
            assert!(pieces() > 0, "it is there");
        }
        assert_eq!(pieces(), 0, "before");
        let [setting, password] = [setting, password].map(|path| path.display().to_string());
        let line = format!("set web --secret-file NAME={setting}");
        let set = host::settings(&admin, Format::Json, command(&line)).await.unwrap_err();
        assert_eq!((set.to_string().as_str(), pieces()), ("it arrived: true", 0), "{line}");
        for line in
            [format!("create ada --password-file {password}"), format!("password ada --file {password}")]
        {
            let sent = user::user(&admin, Format::Json, command(&line)).await.unwrap_err();
            assert_eq!((sent.to_string().as_str(), pieces()), ("it arrived: true", 0), "{line}");
        }
        server.join().unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn who_holds_the_directory_without_a_socket_is_told() {
        let folder = std::env::temp_dir().join(format!("keyless-socketless-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let admin = Admin::new(Layout::of(folder.clone()));
        let told = || admin.explain(Fault::Absent(io::ErrorKind::NotFound.into())).to_string();
        assert!(told().contains("no server runs") && told().contains("keyless up"), "{}", told());
        let lock = kernel::files::lock_exclusive(&folder).unwrap();
        let holder = format!("process {}", std::process::id());
        assert!(told().contains(&holder) && !told().contains("keyless up"), "{}", told());
        drop(lock);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn segments_hold_no_separators() {
        assert_eq!(segment("api://a b/ü?"), "api%3A%2F%2Fa%20b%2F%C3%BC%3F");
    }

    #[test]
    fn messages_are_found_or_made() {
        assert_eq!(message(br#"{"error":{"code":"X","message":"no"}}"#), "no");
        assert!(message(b"<html>").contains("without a word"));
    }
}
