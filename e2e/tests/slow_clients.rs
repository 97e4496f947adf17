//! Clients that are slow on purpose: each is given up at the limit that docs/limits.md names, and others notice nothing of them.

use e2e::{Answer, App, Https, Server};
use rustls::{ClientConnection, StreamOwned};
use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

const VAULT: &str = "shop";
const EACH: usize = 200;
/// Of those who never read: the kernel keeps megabytes of answers for each, and more of them would be a flood of good requests, which is
/// another thing than being slow.
const NEVER_READING: usize = 10;
const PAUSE: Duration = Duration::from_millis(200);
/// What a machine with much else to do may add to a limit, for so many connections at a time. What must not be is that there is no end.
const MARGIN: Duration = Duration::from_secs(40);

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// One connection of a slow client, and when it was made.
struct Slow {
    stream: Stream,
    began: Instant,
    /// What is still to be said, a byte at a time.
    rest: Vec<u8>,
    ended: Option<Duration>,
    is_never_reading: bool,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<Tls>),
}

impl Slow {
    fn new(stream: Stream, rest: impl Into<Vec<u8>>) -> Self {
        let began = Instant::now();
        let slow = Self { stream, began, rest: rest.into(), ended: None, is_never_reading: false };
        slow.socket().set_nonblocking(true).unwrap();
        slow
    }

    const fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => &stream.sock,
        }
    }

    /// Says the next byte.
    fn drip(&mut self) {
        if self.ended.is_some() || self.rest.is_empty() {
            return;
        }
        let byte = [self.rest.remove(0)];
        let _refused = match &mut self.stream {
            Stream::Plain(stream) => stream.write(&byte),
            Stream::Tls(stream) => stream.write(&byte).and_then(|_| stream.flush()).map(|()| 1),
        };
    }

    /// Looks whether the server has ended the connection, if that can be seen without reading an answer.
    fn notice(&mut self) {
        if !self.is_never_reading {
            self.look();
        }
    }

    /// Reads what there is, and looks whether the server has ended the connection.
    fn look(&mut self) {
        let mut bytes = [0; 4096];
        while self.ended.is_none() {
            match self.socket().read(&mut bytes) {
                Ok(0) => self.ended = Some(self.began.elapsed()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.ended = Some(self.began.elapsed()),
            }
        }
    }

    /// Reads nothing; says more, until the server ends the connection.
    fn insist(&mut self) {
        if let (None, Stream::Tls(stream)) = (self.ended, &mut self.stream) {
            let written = stream.write(&self.rest).and_then(|_| stream.flush());
            if written.is_err_and(|error| error.kind() != ErrorKind::WouldBlock) {
                self.ended = Some(self.began.elapsed());
            }
        }
    }
}

/// Waits for the handshake, and no longer.
fn connected(scene: &Scene) -> Tls {
    handshaken(scene.https.connect(&scene.host).unwrap())
}

fn handshaken(mut stream: Tls) -> Tls {
    stream.conn.complete_io(&mut stream.sock).unwrap();
    stream
}

struct Scene {
    server: Server,
    https: Https,
    host: String,
    token: String,
}

impl Scene {
    fn new(name: &str, value: &str) -> Self {
        let server = Server::start(name);
        server.vault_with(VAULT, "db", value);
        server.app_with("web", VAULT, "get,set");
        let token = App::start(&server, "web", VAULT).token();
        Self { https: server.https(), host: Server::vault_host(VAULT), server, token }
    }

    fn head(&self, line: &str) -> String {
        format!(
            "{line} HTTP/1.1\r\nHost: {}:{}\r\nAuthorization: Bearer {}\r\n",
            self.host,
            self.server.port(),
            self.token
        )
    }

    /// How long an ordinary client, which keeps its connection as SDKs do, waits for each of its requests, until it is told to stop or
    /// has made so many.
    fn latencies(&self, most: usize, stop: &AtomicBool) -> Vec<Duration> {
        let mut stream = connected(self);
        let request = self.head("GET /secrets/db?api-version=7.4") + "\r\n";
        let mut all = Vec::new();
        while all.len() < most && !stop.load(Ordering::SeqCst) {
            let began = Instant::now();
            stream.write_all(request.as_bytes()).and_then(|()| stream.flush()).unwrap();
            assert_eq!(read_one(&mut stream).status, 200);
            all.push(began.elapsed());
            std::thread::sleep(Duration::from_millis(20));
        }
        all.sort_unstable();
        all
    }

    /// Others come anew for each request. They wait behind those who came before, and are served.
    fn newcomers(&self, stop: &AtomicBool) -> usize {
        let mut count = 0;
        while !stop.load(Ordering::SeqCst) {
            assert_eq!(self.https.get_secret(VAULT, "db", &self.token).status, 200);
            count += 1;
            std::thread::sleep(PAUSE);
        }
        count
    }
}

/// One answer of a connection that goes on.
fn read_one(stream: &mut Tls) -> Answer {
    let (mut all, mut some) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let length = stream.read(&mut some).unwrap();
        assert!(length > 0, "closed within an answer");
        all.extend_from_slice(&some[..length]);
        let answer = Answer::parse(&all);
        let wanted = answer.header("Content-Length").and_then(|length| length.parse::<usize>().ok());
        if wanted.is_some_and(|wanted| wanted == answer.body.len()) {
            return answer;
        }
    }
}

/// Of sorted times.
fn median(times: &[Duration]) -> Duration {
    times[times.len() / 2]
}

#[test]
fn slow_clients_are_given_up_in_time_and_others_notice_nothing() {
    let scene = Scene::new("slow-clients", &"v".repeat(25_000));
    let never = AtomicBool::new(false);
    let quiet = scene.latencies(60, &never);
    let (quiet_median, quiet_worst) = (median(&quiet), quiet[quiet.len() - 1]);

    let is_over = AtomicBool::new(false);
    let (busy, slow) = std::thread::scope(|scope| {
        let ordinary = scope.spawn(|| scene.latencies(usize::MAX, &is_over));
        let newcomers = scope.spawn(|| scene.newcomers(&is_over));
        let groups = [
            scope.spawn(|| no_handshake(&scene)),
            scope.spawn(|| dripping(&scene, scene.head("GET /secrets/db?api-version=7.4"), "")),
            scope.spawn(|| {
                let head = scene.head("PUT /secrets/slow?api-version=7.4") + "Content-Length: 1000\r\n\r\n";
                dripping(&scene, "{\"value\":\"".to_owned() + &"x".repeat(988), &head)
            }),
            scope.spawn(|| never_reading(&scene)),
        ];
        let slow = groups.map(|group| group.join());
        is_over.store(true, Ordering::SeqCst);
        assert!(newcomers.join().unwrap() > 3, "who comes anew is served, too");
        (ordinary.join().unwrap(), slow.map(Result::unwrap))
    });

    // It takes a while until the kernel keeps no more answers: what counts is that there is an end.
    let filling = Duration::from_secs(45);
    let limits = [
        ("a handshake", 10, MARGIN),
        ("a head", 20, MARGIN),
        ("a body", 30, MARGIN),
        ("an answer", 20, MARGIN + filling),
    ];
    for ((what, limit, margin), ended) in limits.into_iter().zip(slow) {
        let limit = Duration::from_secs(limit);
        let (first, last) = (ended.first().unwrap(), ended.last().unwrap());
        assert!(*first >= limit - Duration::from_secs(1), "{what} was given up after {first:?}");
        assert!(*last <= limit + margin, "{what} was given up after {last:?}");
    }
    let (busy_median, busy_worst) = (median(&busy), busy[busy.len() - 1]);
    let told = format!(
        "quiet {quiet_median:?}, {quiet_worst:?}; busy {busy_median:?}, {busy_worst:?}, {} requests",
        busy.len()
    );
    assert!(busy.len() > 50, "{told}");
    // Factors for a machine that does other things besides; the bounds say what a person would call "it hangs".
    assert!(busy_median <= (quiet_median * 10).max(Duration::from_millis(500)), "{told}");
    assert!(busy_worst <= (quiet_worst * 20).max(Duration::from_secs(5)), "{told}");
    assert_eq!(
        scene.https.get_secret(VAULT, "slow", &scene.token).status,
        404,
        "nothing that was not said whole was done"
    );
}

/// Makes so many connections, and goes on until all have been ended: when each was.
fn until_ended(
    what: &str,
    count: usize,
    connect: impl Fn(usize) -> Slow,
    mut step: impl FnMut(&mut Slow),
) -> Vec<Duration> {
    let mut slow = Vec::new();
    for number in 0..count {
        slow.push(connect(number));
        // Connecting takes a while: the first ones may be ended before the last one is there.
        slow.iter_mut().for_each(Slow::notice);
    }
    let began = Instant::now();
    while slow.iter().any(|one| one.ended.is_none()) {
        let left = slow.iter().filter(|one| one.ended.is_none()).count();
        assert!(began.elapsed() < Duration::from_secs(90), "{what}: {left} that nobody ends");
        slow.iter_mut().for_each(&mut step);
        std::thread::sleep(PAUSE);
    }
    let mut ended: Vec<_> = slow.iter().filter_map(|one| one.ended).collect();
    ended.sort_unstable();
    ended
}

/// Says nothing, or the first bytes of a handshake.
fn no_handshake(scene: &Scene) -> Vec<Duration> {
    let connect = |number: usize| {
        let stream = TcpStream::connect(("127.0.0.1", scene.server.port())).unwrap();
        let hello: &[u8] = if number.is_multiple_of(2) { &[] } else { &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3] };
        Slow::new(Stream::Plain(stream), hello)
    };
    until_ended("no handshake", EACH, connect, |one| {
        one.drip();
        one.look();
    })
}

/// Says something whole, and then the rest a byte at a time.
fn dripping(scene: &Scene, rest: String, at_once: &str) -> Vec<Duration> {
    let connect = |_| {
        let mut stream = connected(scene);
        stream.write_all(at_once.as_bytes()).and_then(|()| stream.flush()).unwrap();
        Slow::new(Stream::Tls(Box::new(stream)), rest.as_bytes())
    };
    until_ended("dripping", EACH, connect, |one| {
        one.drip();
        one.look();
    })
}

/// Asks and asks, and never looks at an answer.
fn never_reading(scene: &Scene) -> Vec<Duration> {
    let request = scene.head("GET /secrets/db?api-version=7.4") + "\r\n";
    let connect = |_| {
        let stream = connected(scene);
        let slow = Slow::new(Stream::Tls(Box::new(stream)), request.as_bytes());
        Slow { is_never_reading: true, ..slow }
    };
    until_ended("never reading", NEVER_READING, connect, Slow::insist)
}
