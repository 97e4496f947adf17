//! Apps that are served, as both sides see it on the wire: raw clients on one side, raw apps on the other, the whole router between them.

mod faults;
mod heads;
mod load;
mod retry;
mod streams;
mod upgrade;

use crate::support::World;
use audit::{Origin, SharedOrigin};
use domain::AppName;
use host::{InstanceKey, Reach, Routes};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    net::{TcpListener, TcpStream},
};
use tower::ServiceExt as _;
use wire::{
    PublicService,
    proxy::{Kept, Limits, Proxy, Tasks},
};

const HOST: &str = "web.apps.keyless.localhost:8443";
/// Longer than anything takes here: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

struct Spawned;

impl Tasks for Spawned {
    fn run(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        drop(tokio::spawn(task));
    }
}

/// The router with one app, `web`.
struct Stage {
    public: PublicService,
    routes: Arc<Routes>,
    web: AppName,
}

impl Stage {
    async fn new() -> Self {
        Self::within(Limits::default()).await
    }

    async fn within(limits: Limits) -> Self {
        let routes = Arc::new(Routes::new());
        let proxy = Arc::new(Proxy::new(routes.clone(), Arc::new(Spawned), limits));
        let origin = Origin { address: Some("192.0.2.7:5000".parse().unwrap()), ..Origin::default() };
        let public = World::new().await.public.proxying(proxy);
        let public = public.for_connection(SharedOrigin::from(origin));
        Self { public, routes, web: "web".parse().unwrap() }
    }

    /// Adds an instance.
    fn add(&self, app: &App) -> InstanceKey {
        self.routes.add(&self.web, Reach::At(([127, 0, 0, 1], app.port).into()))
    }

    /// Requests that the app has at the moment.
    fn in_flight(&self) -> usize {
        self.routes.in_flight(&self.web).iter().map(|(_, count)| count).sum()
    }

    /// Another client's connection, served as the listener does.
    fn client(&self) -> Client {
        self.client_holding(Kept(Arc::new(())))
    }

    /// The same, which holds something as long as it is there.
    fn client_holding(&self, kept: Kept) -> Client {
        let (client, server) = tokio::io::duplex(16 * 1024);
        let public = self.public.clone();
        tokio::spawn(async move {
            let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
                request.extensions_mut().insert(kept.clone());
                public.clone().oneshot(request.map(axum::body::Body::new))
            });
            drop(http1::Builder::new().serve_connection(TokioIo::new(server), service).with_upgrades().await);
        });
        Client { stream: client, left: Vec::new() }
    }

    /// The whole answer to one request on a connection of its own.
    async fn ask(&self, request: &str) -> String {
        let mut client = self.client();
        client.send(&request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).await;
        client.rest().await
    }

    async fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).await
    }
}

/// One side of a connection, read as text.
struct Client<S = DuplexStream> {
    stream: S,
    left: Vec<u8>,
}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Client<S> {
    async fn send(&mut self, text: &str) {
        let sending = self.stream.write_all(text.as_bytes());
        tokio::time::timeout(PATIENCE, sending).await.expect("it is taken").unwrap();
    }

    /// Everything up to and with this text.
    async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.left.windows(end.len()).position(|window| window == end.as_bytes()) {
                let rest = self.left.split_off(at + end.len());
                return String::from_utf8(std::mem::replace(&mut self.left, rest)).unwrap();
            }
            let read = self.stream.read_buf(&mut self.left);
            let length =
                tokio::time::timeout(PATIENCE, read).await.unwrap_or_else(|_| panic!("no {end:?}")).unwrap();
            assert_ne!(length, 0, "{end:?} did not come: {}", String::from_utf8_lossy(&self.left));
        }
    }

    async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    /// All until the other side has no more to say; a connection that breaks is an end, too.
    async fn rest(&mut self) -> String {
        let reading = self.stream.read_to_end(&mut self.left);
        drop(tokio::time::timeout(PATIENCE, reading).await.expect("it ends"));
        String::from_utf8(std::mem::take(&mut self.left)).unwrap()
    }
}

/// An app on a port of its own, which does the same with each connection.
struct App {
    port: u16,
    connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl App {
    async fn new<F>(handle: impl Fn(Client<TcpStream>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, connections) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
        let counted = connections.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(handle(Client { stream, left: Vec::new() }));
            }
        });
        Self { port, connections, task }
    }

    /// Answers each request of a connection with this text.
    async fn saying(answer: &'static str) -> Self {
        Self::new(move |mut connection| async move {
            while connection.stream.readable().await.is_ok() {
                connection.head().await;
                connection.send(answer).await;
            }
        })
        .await
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits until something holds.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what} did not come");
}

/// The lines of a head in order of the alphabet, below the first one.
fn sorted(head: &str) -> Vec<String> {
    let mut lines: Vec<_> = head.trim_end().lines().map(str::to_owned).collect();
    lines[1..].sort();
    lines
}
