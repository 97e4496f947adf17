//! A small server that keeps the whole rule: accept, attest, read, check the secret, attest again, answer. It can be held at three places,
//! which is how races are played in order.

use kernel::{AppCgroup, AttestFault, Attestor, Peer};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

pub(crate) const SECRET: &str = "c2VjcmV0LW9mLXRoZS1hcHA";
pub(crate) const TOKEN: &str = "eyJ0b2tlbi1vZi10aGUtYXBw";
const PATIENCE: Duration = Duration::from_secs(20);

/// The request of whoever holds the secret, as the actor is told it. The name in it is of who sends it.
pub(crate) fn request(name: &str) -> String {
    format!("GET /msi/token?{name} HTTP/1.1\\r\\nX-IDENTITY-HEADER: {SECRET}\\r\\n\\r\\n")
}

/// What came of a connection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// The token was written, to the sender of this request.
    Served(Peer, String),
    /// The kernel did not name a peer.
    NotAttested(AttestFault),
    /// The peer is not of the app.
    Stranger(Peer),
    /// There was no request, or without the secret.
    NoSecret,
    /// The kernel did not name the same peer again, after this request.
    NotAttestedAgain(AttestFault, String),
}

/// Before what the server may be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// With the connection in the queue.
    Accept,
    /// With the connection accepted.
    Attest,
    /// With the request read.
    Answer,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    listener: TcpListener,
    outcomes: Receiver<Outcome>,
    gate: Arc<Gate>,
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// Holds each connection in turn until it is let through.
struct Gate {
    place: Option<Hold>,
    reached: Mutex<Sender<()>>,
    arrivals: Mutex<Receiver<()>>,
    passes: Mutex<Receiver<()>>,
    pass: Mutex<Sender<()>>,
}

impl Gate {
    fn new(place: Option<Hold>) -> Self {
        let ((reached, arrivals), (pass, passes)) = (channel(), channel());
        Self {
            place,
            reached: Mutex::new(reached),
            arrivals: Mutex::new(arrivals),
            passes: Mutex::new(passes),
            pass: Mutex::new(pass),
        }
    }

    fn reach(&self, place: Hold) {
        if self.place == Some(place) {
            let _over = lock(&self.reached).send(());
            let _over = lock(&self.passes).recv_timeout(PATIENCE);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    /// For an app, on a port of its own.
    pub(crate) fn start(app: Arc<AppCgroup>) -> Self {
        Self::start_held(app, None)
    }

    /// The same, held for each connection in turn.
    pub(crate) fn start_held(app: Arc<AppCgroup>, place: Option<Hold>) -> Self {
        let listener = kernel::listen_loopback(0).unwrap();
        Self::start_on(listener, app, place, 1)
    }

    /// The same on a listener, with so many connections at a time.
    pub(crate) fn start_on(
        listener: TcpListener,
        app: Arc<AppCgroup>,
        place: Option<Hold>,
        threads: usize,
    ) -> Self {
        Self::start_with(listener, Attestor::new().unwrap(), app, place, threads)
    }

    /// The same with the attestor of the listener's network namespace.
    pub(crate) fn start_with(
        listener: TcpListener,
        attestor: Attestor,
        app: Arc<AppCgroup>,
        place: Option<Hold>,
        threads: usize,
    ) -> Self {
        listener.set_nonblocking(false).unwrap();
        let address = listener.local_addr().unwrap();
        let (said, outcomes) = channel();
        let (gate, is_over) = (Arc::new(Gate::new(place)), Arc::new(AtomicBool::new(false)));
        let attestor = Arc::new(attestor);
        let serve = || {
            let (listener, app, attestor) = (listener.try_clone().unwrap(), app.clone(), attestor.clone());
            let (said, gate, is_over) = (said.clone(), gate.clone(), is_over.clone());
            std::thread::spawn(move || {
                loop {
                    gate.reach(Hold::Accept);
                    let accepted = listener.accept();
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let Ok((stream, _)) = accepted else { continue };
                    let outcome = connection(stream, &app, &attestor, &gate);
                    if said.send(outcome).is_err() {
                        return;
                    }
                }
            })
        };
        let threads = (0..threads).map(|_| serve()).collect();
        Self { address, listener, outcomes, gate, is_over, threads }
    }

    /// On what it listens.
    pub(crate) fn listener(&self) -> &TcpListener {
        &self.listener
    }

    /// Waits until a connection is held.
    pub(crate) fn held(&self) {
        lock(&self.gate.arrivals).recv_timeout(PATIENCE).unwrap();
    }

    /// Lets the held connection go on.
    pub(crate) fn let_go(&self) {
        lock(&self.gate.pass).send(()).unwrap();
    }

    /// What came of the next connection.
    #[track_caller]
    pub(crate) fn outcome(&self) -> Outcome {
        self.outcomes.recv_timeout(PATIENCE).unwrap()
    }

    /// All outcomes so far.
    pub(crate) fn outcomes(&self) -> Vec<Outcome> {
        self.outcomes.try_iter().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for _ in 0..16 {
            let _not_held = lock(&self.gate.pass).send(());
        }
        // Whoever waits for a connection waits in vain from here on.
        let _closed_already = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        for thread in self.threads.drain(..) {
            let _joined = thread.join();
        }
    }
}

fn connection(mut stream: TcpStream, app: &AppCgroup, attestor: &Attestor, gate: &Gate) -> Outcome {
    let outcome = decide(&mut stream, app, attestor, gate);
    let answer = match &outcome {
        Outcome::Served(..) => format!("HTTP/1.1 200 OK\r\n\r\n{TOKEN}"),
        _ => "HTTP/1.1 403 Forbidden\r\n\r\n".to_owned(),
    };
    let _gone = stream.write_all(answer.as_bytes());
    let _gone = stream.shutdown(std::net::Shutdown::Write);
    // What was sent and not read would make the kernel answer by RST, and the answer be lost.
    let _gone = stream.set_read_timeout(Some(Duration::from_millis(50)));
    let mut rest = [0; 1024];
    while stream.read(&mut rest).is_ok_and(|length| length > 0) {}
    outcome
}

fn decide(stream: &mut TcpStream, app: &AppCgroup, attestor: &Attestor, gate: &Gate) -> Outcome {
    gate.reach(Hold::Attest);
    let peer = match attestor.attest(stream.as_fd()) {
        Ok(peer) => peer,
        Err(fault) => return Outcome::NotAttested(fault),
    };
    if !app.contains(peer.facts().cgroup) {
        return Outcome::Stranger(*peer.facts());
    }
    let text = read_head(stream);
    if !text.contains(&format!("X-IDENTITY-HEADER: {SECRET}\r\n")) {
        return Outcome::NoSecret;
    }
    gate.reach(Hold::Answer);
    match attestor.attest_again(stream.as_fd(), &peer) {
        Ok(()) => Outcome::Served(*peer.facts(), text),
        Err(fault) => Outcome::NotAttestedAgain(fault, text),
    }
}

fn read_head(stream: &mut TcpStream) -> String {
    let _gone = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let (mut text, mut buffer) = (Vec::new(), [0; 512]);
    while !text.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(length) if length > 0 => text.extend_from_slice(&buffer[..length]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}
