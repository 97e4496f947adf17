//! Is an instance ready, is it healthy, has it ended?
//!
//! Whoever listens on an instance's port is believed only if the kernel says that it is of the instance's own cgroup.

use super::launch;
use crate::listen::endpoints::Inside;
use domain::{WorkloadId, limits};
use host::Health;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use identity::IdentityService;
use kernel::{Attestor, Ended, Process};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{io::unix::AsyncFd, net::TcpStream};

/// How long after one look at a starting instance the next one is: an eighth of the time that it has had, so that an instance is found ready
/// soon after it is, however long it takes; within these bounds.
const READY_INTERVAL: Duration = Duration::from_millis(1);
const READY_INTERVAL_MAX: Duration = Duration::from_millis(250);
const READY_LOOKS: u32 = 8;
/// How long an instance that serves nobody must have run to count as ready.
const PROCESS_TIME_MIN: Duration = Duration::from_millis(500);

/// How long the other end of a connection of ours may take to come to be, and how soon is asked again. Ours: it takes microseconds, unless
/// the machine is busy.
const ATTEST_TIME_MAX: Duration = Duration::from_secs(1);
const ATTEST_INTERVAL: Duration = Duration::from_millis(1);

/// Whom to ask.
pub(crate) struct Target<'a> {
    pub(crate) port: u16,
    pub(crate) workload: WorkloadId,
    pub(crate) identity: &'a IdentityService,
    pub(crate) attestor: Option<&'a Attestor>,
    /// Its network, if that is not ours.
    pub(crate) inside: Option<&'a Arc<Inside>>,
}

impl Target<'_> {
    pub(crate) async fn connect(&self) -> io::Result<TcpStream> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let (stream, attestor) = match self.inside {
            None => (TcpStream::connect(address).await?, self.attestor),
            Some(inside) => (connect_inside(inside.clone(), address).await?, Some(&*inside.attestor)),
        };
        stream.set_nodelay(true)?;
        is_its_own(&stream, self.workload, self.identity, attestor).await?;
        Ok(stream)
    }
}

/// Makes a connection in another network, by a thread that may go there and may wait.
async fn connect_inside(inside: Arc<Inside>, address: SocketAddr) -> io::Result<TcpStream> {
    let hands = inside.hands.clone();
    let stream = TcpStream::from_std(hands.run(move || inside.namespace()?.connect(address)).await??)?;
    stream.writable().await?;
    match stream.take_error()? {
        None => Ok(stream),
        Some(error) => Err(error),
    }
}

/// Is the other end of this connection the workload's? Where nothing is enforced, nobody knows.
///
/// We are connected as soon as our end is. The other end comes to be when the last packet of the handshake is worked off, which a busy machine
/// may put off for a moment: until then the kernel names nobody, and is asked again.
async fn is_its_own(
    stream: &TcpStream,
    workload: WorkloadId,
    identity: &IdentityService,
    attestor: Option<&Attestor>,
) -> io::Result<()> {
    let refuse = |what: &'static str| Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    let Some(running) = identity.workload(workload) else { return refuse("the workload has ended") };
    let Some(confinement) = running.confinement() else { return Ok(()) };
    let Some(attestor) = attestor else { return refuse("the kernel cannot say who listens") };
    let (mut pause, until) = (ATTEST_INTERVAL, Instant::now() + ATTEST_TIME_MAX);
    loop {
        match attestor.attest_listener(stream.as_fd()) {
            Ok(peer) if confinement.contains(peer.facts().cgroup) => return Ok(()),
            Ok(_) => return refuse("somebody else listens on the instance's port"),
            Err(error) if Instant::now() > until => return Err(io::Error::other(error)),
            Err(_) => tokio::time::sleep(pause).await,
        }
        pause *= 2;
    }
}

/// The proxy's way to an instance.
pub(crate) struct Upstream {
    pub(crate) port: u16,
    pub(crate) workload: WorkloadId,
    pub(crate) identity: Arc<IdentityService>,
    pub(crate) attestor: Option<Arc<Attestor>>,
    pub(crate) inside: Option<Arc<Inside>>,
}

impl host::routes::Connect for Upstream {
    fn connect(&self) -> host::routes::Connecting {
        let (identity, attestor, inside) =
            (self.identity.clone(), self.attestor.clone(), self.inside.clone());
        let (port, workload) = (self.port, self.workload);
        Box::pin(async move {
            let (attestor, inside) = (attestor.as_deref(), inside.as_ref());
            let target = Target { port, workload, identity: &identity, attestor, inside };
            target.connect().await?.into_std()
        })
    }
}

/// Why an instance is not well, in words for people: a sentence without its end.
pub(crate) type Unwell = String;

/// Waits until an instance is ready. `tell` hears of what each look before has found.
pub(crate) async fn ready(target: &Target<'_>, health: &Health, tell: impl Fn(Unwell)) {
    let begin = Instant::now();
    loop {
        match check(target, health).await {
            Ok(()) => return,
            Err(unwell) => tell(unwell),
        }
        tokio::time::sleep((begin.elapsed() / READY_LOOKS).clamp(READY_INTERVAL, READY_INTERVAL_MAX)).await;
    }
}

/// One health check.
///
/// # Errors
/// [`Unwell`].
pub(crate) async fn check(target: &Target<'_>, health: &Health) -> Result<(), Unwell> {
    if *health == Health::Process {
        tokio::time::sleep(PROCESS_TIME_MIN).await;
        return Ok(());
    }
    let asked = tokio::time::timeout(limits::HEALTH_INTERVAL, ask(target, health)).await;
    asked.unwrap_or_else(|_| Err(format!("no answer came within {} s", limits::HEALTH_INTERVAL.as_secs())))
}

async fn ask(target: &Target<'_>, health: &Health) -> Result<(), Unwell> {
    let stream = target.connect().await.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!("nobody listens on port {}, which its PORT names, at 127.0.0.1", target.port)
        }
        _ => format!("there is no connection to its port {}: {error}", target.port),
    })?;
    let Health::Path(path) = health else { return Ok(()) };
    match status(stream, target.port, path).await {
        Ok(status) if status.is_success() || status.is_redirection() => Ok(()),
        Ok(status) => Err(format!("{path} answers {}", status.as_u16())),
        Err(error) => Err(format!("{path} has no answer: {}", domain::chain(&*error))),
    }
}

async fn status(
    stream: TcpStream,
    port: u16,
    path: &str,
) -> Result<StatusCode, Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header(header::HOST, format!("127.0.0.1:{port}"))
        .header(header::USER_AGENT, "keyless-health-check")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let (mut asked, mut connection) = (Box::pin(sender.send_request(request)), Box::pin(connection));
    let answered = tokio::select! {
        answered = &mut asked => answered,
        _ended = &mut connection => {
            // An answer that came in one piece is there by now, and the connection that it ended is over. Without one, dropping says so.
            drop(connection);
            asked.await
        }
    };
    Ok(answered?.status())
}

/// Waits until a process has ended, and ends what it has left running of its group. For where there is no cgroup to hold all that it started:
/// what has left the group as well is not found.
pub(crate) async fn ended_with_group(process: &Process) -> Ended {
    has_ended(process).await;
    // Not waited for yet: until then nobody else can have a group of its number.
    launch::signal_group(process, launch::SIGKILL);
    process.wait().unwrap_or(Ended::Unseen)
}

/// Waits until a process has ended.
pub(crate) async fn ended(process: &Process) -> Ended {
    has_ended(process).await;
    // It has ended, so this waits for nothing.
    process.wait().unwrap_or(Ended::Unseen)
}

async fn has_ended(process: &Process) {
    let watched = process.pidfd().try_clone_to_owned().and_then(Watched::new);
    match watched {
        Ok(watched) => drop(watched.0.readable().await),
        Err(error) => {
            // Without a descriptor left: looked at instead.
            tracing::warn!(%error, "a process cannot be waited for");
            while !process.has_ended().unwrap_or(false) {
                tokio::time::sleep(READY_INTERVAL_MAX).await;
            }
        }
    }
}

/// How a process has ended, in words.
pub(crate) fn told(ended: Ended) -> String {
    match ended {
        Ended::Exited(status) => format!("exited with status {status}"),
        Ended::Killed(signal) => format!("was killed by signal {signal}"),
        // It was a child of an earlier run of the server.
        Ended::Unseen => "ended".to_owned(),
    }
}

/// A pidfd that the runtime waits for.
struct Watched(AsyncFd<Pidfd>);

struct Pidfd(OwnedFd);

impl AsRawFd for Pidfd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Watched {
    #[expect(
        deprecated,
        reason = "what may go wrong is a descriptor that is closed too early; this one is owned"
    )]
    fn new(descriptor: OwnedFd) -> io::Result<Self> {
        AsyncFd::with_interest(Pidfd(descriptor), tokio::io::Interest::READABLE).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    /// What is found of a server that answers by these bytes, all at once, and hangs up.
    async fn found(answer: &'static str) -> Option<u16> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            assert_ne!(stream.read(&mut request).await.unwrap(), 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let stream = TcpStream::connect(address).await.unwrap();
        let asked = status(stream, address.port(), "/healthz");
        let found = tokio::time::timeout(Duration::from_secs(5), asked).await.expect("it does not wait");
        serving.await.unwrap();
        found.ok().map(|status| status.as_u16())
    }

    #[tokio::test]
    async fn without_a_cgroup_a_step_that_has_ended_leaves_nothing_of_its_group() {
        let (read, write) = io::pipe().unwrap();
        let program = kernel::Program {
            arguments: ["/bin/sh", "-c", "sleep 60 & exit 3"].map(Into::into).to_vec(),
            environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
            output: Some(write.as_fd()),
            ..kernel::Program::default()
        };
        let process = kernel::spawn(&program).unwrap();
        drop(program);
        drop(write);
        assert_eq!(ended_with_group(&process).await, Ended::Exited(3));
        // All that held the other end are gone.
        let read = tokio::task::spawn_blocking(move || io::read_to_string(read));
        tokio::time::timeout(Duration::from_secs(10), read).await.expect("it has gone").unwrap().unwrap();
    }

    #[tokio::test]
    async fn an_answer_in_one_piece_is_an_answer() {
        assert_eq!(found("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await, Some(204));
        assert_eq!(
            found("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await,
            Some(200)
        );
        assert_eq!(found("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n").await, Some(302));
        assert_eq!(found("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await, Some(503));
        assert_eq!(found("").await, None, "no answer");
        assert_eq!(found("hello\r\n\r\n").await, None, "no HTTP");
    }

    /// `/<>` was taken, and its health could never be asked for.
    #[test]
    fn what_is_taken_for_a_health_path_can_be_asked_for() {
        for byte in 0..=u8::MAX {
            for path in [format!("/{}", char::from(byte)), format!("/a?b={}", char::from(byte))] {
                let is_one = Request::get(&path).body(()).is_ok();
                assert!(is_one || !host::desired::can_be_asked(&path), "{path}");
            }
        }
        assert!(host::desired::can_be_asked("/healthz?deep=1&of=[a]"));
    }
}
