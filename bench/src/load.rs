//! A load generator of just enough HTTP/1.1: keep-alive connections that each send requests, most of them prepared, and read whole answers.

use crate::cpu::Cpu;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::TlsConnector;

/// Until all connections of a run are accepted, whatever a server does for that.
const ACCEPTED_TIME: Duration = Duration::from_millis(50);

/// Where a server listens.
#[derive(Clone)]
pub(crate) enum Listener {
    /// At a port.
    Tcp(SocketAddr),
    /// At a socket's file.
    Unix(PathBuf),
}

/// Where requests go.
#[derive(Clone)]
pub(crate) struct Target {
    /// The listener.
    pub(crate) listener: Listener,
    /// TLS with this server name, or plain.
    pub(crate) tls: Option<(TlsConnector, ServerName<'static>)>,
    /// The process whose processor time is counted.
    pub(crate) pid: u32,
}

/// What a run of units of work cost. A unit is mostly one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Microseconds of the server's processor time a unit.
    pub(crate) cpu_us: f64,
    /// Units a second.
    pub(crate) rate: f64,
    /// Microseconds within which 99 of 100 units were done.
    pub(crate) p99_us: f64,
}

/// A connector that trusts exactly one root certificate (PEM).
pub(crate) fn connector(root_pem: &str) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(root_pem.as_bytes()) {
        roots.add(certificate.expect("the root file is PEM")).expect("the root certificate is one");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// Sends `total` requests over `connections` connections, each the next of `requests` (cycled), and asks that each answer is a 200.
///
/// # Panics
/// If an answer is not a 200: a figure of refusals is worth nothing.
pub(crate) async fn run(
    target: &Target,
    requests: Arc<Vec<Vec<u8>>>,
    connections: usize,
    total: usize,
) -> Cost {
    let unit = async move |connection: &mut Connection, index: usize| {
        connection.exchange(&requests[index % requests.len()]).await;
    };
    drive(target, connections, total, unit).await
}

/// Does `total` units of work over `connections` connections, each told its number.
pub(crate) async fn drive(
    target: &Target,
    connections: usize,
    total: usize,
    unit: impl AsyncFn(&mut Connection, usize) + 'static,
) -> Cost {
    let mut opened = Vec::with_capacity(connections);
    for _ in 0..connections {
        opened.push(Connection::open(target).await);
    }
    // Accepting is no request's cost, and a server may be at it still: ours looks who connects.
    tokio::time::sleep(ACCEPTED_TIME).await;
    // The load never sleeps: else each answer of the slower server would pay for waking it (an interrupt to another core, several
    // microseconds on a virtual machine), and the faster one, whose client is always busy, would not.
    let awake = tokio::task::spawn_local(async {
        loop {
            tokio::task::yield_now().await;
        }
    });
    let (unit, next) = (Rc::new(unit), Rc::new(Cell::new(0)));
    let times = Rc::new(RefCell::new(Vec::with_capacity(total)));
    let (cpu, begin) = (Cpu::begin(target.pid), Instant::now());
    let mut tasks = tokio::task::JoinSet::new();
    for mut connection in opened {
        let (unit, next, times) = (unit.clone(), next.clone(), times.clone());
        tasks.spawn_local(async move {
            loop {
                let index = next.replace(next.get() + 1);
                if index >= total {
                    break;
                }
                let begin = Instant::now();
                unit(&mut connection, index).await;
                times.borrow_mut().push(begin.elapsed().as_secs_f64() * 1_000_000.0);
            }
        });
    }
    tasks.join_all().await;
    let (cpu, elapsed) = (cpu.nanoseconds(), begin.elapsed());
    awake.abort();
    let mut times = times.take();
    times.sort_by(f64::total_cmp);
    Cost {
        cpu_us: cpu as f64 / 1_000.0 / total as f64,
        rate: total as f64 / elapsed.as_secs_f64(),
        p99_us: times.get(times.len() * 99 / 100).copied().unwrap_or(f64::NAN),
    }
}

/// One answer to one request over a connection of its own: its body.
pub(crate) async fn once(target: &Target, request: &[u8]) -> Vec<u8> {
    Connection::open(target).await.exchange(request).await.to_vec()
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// A connection that is kept alive.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(target: &Target) -> Self {
        let stream: Box<dyn Stream> = match (&target.listener, &target.tls) {
            (Listener::Unix(path), _) => {
                Box::new(UnixStream::connect(path).await.expect("the server listens"))
            }
            (Listener::Tcp(address), None) => Box::new(tcp(*address).await),
            (Listener::Tcp(address), Some((connector, name))) => {
                let connected = connector.connect(name.clone(), tcp(*address).await).await;
                Box::new(connected.expect("the handshake succeeds"))
            }
        };
        Self { stream, buffer: Vec::with_capacity(64 * 1024) }
    }

    /// Sends a request; the body of its answer, which must be a success.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> &[u8] {
        let (head, body) = self.ask(request).await;
        assert!(head.starts_with("HTTP/1.1 20"), "{head}{}", String::from_utf8_lossy(body));
        body
    }

    /// Sends a request; the bytes of its answer, which are many and are thrown away as they come.
    pub(crate) async fn swallow(&mut self, request: &[u8]) -> usize {
        self.stream.write_all(request).await.expect("the connection takes a request");
        self.stream.flush().await.expect("the connection takes a request");
        self.buffer.clear();
        let (mut bytes, mut whole) = (0, None);
        while whole.is_none_or(|whole| bytes < whole) {
            let read = self.stream.read_buf(&mut self.buffer).await.expect("the connection answers");
            assert_ne!(read, 0, "the server closed the connection after {bytes} bytes");
            bytes += read;
            if whole.is_none() {
                whole = head_and_length(&self.buffer).map(|(head, length)| head + length);
            }
            if whole.is_some() {
                self.buffer.clear();
            }
        }
        bytes
    }

    /// Sends a request; the head and the body of its answer, whatever it is.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> (&str, &[u8]) {
        self.stream.write_all(request).await.expect("the connection takes a request");
        self.stream.flush().await.expect("the connection takes a request");
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await.expect("the connection answers");
            assert_ne!(
                read,
                0,
                "the server closed the connection: {}",
                String::from_utf8_lossy(&self.buffer)
            );
            if let Some((head, length)) = head_and_length(&self.buffer)
                && self.buffer.len() >= head + length
            {
                let (head, body) = self.buffer.split_at(head);
                return (std::str::from_utf8(head).expect("a head is text"), &body[..length]);
            }
        }
    }
}

async fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.expect("the server listens");
    stream.set_nodelay(true).expect("a TCP socket has TCP_NODELAY");
    stream
}

/// Bytes of the head with its empty line, and of the body after it, once the head is complete.
fn head_and_length(buffer: &[u8]) -> Option<(usize, usize)> {
    let head = buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&buffer[..head]).ok()?;
    if text.starts_with("HTTP/1.1 204") {
        return Some((head, 0));
    }
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Some((head, length.unwrap_or(0)))
}
