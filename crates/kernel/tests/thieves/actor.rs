//! A process that does with sockets and cgroups what it is told: an app, or a thief. The tests tell it, over a unix socket that is its
//! only argument, one command a line; it answers each by one line, `ok ...` or `failed KIND ...`.
//!
//! | command | does |
//! |---|---|
//! | `socket NAME 4/6 [PORT]` | makes a TCP socket, bound to the port of the loopback address if there is one (others may bind it too) |
//! | `mapped NAME` | makes an IPv6 socket that is bound to a mapped IPv4 address |
//! | `mptcp NAME`, `fastopen NAME ADDRESS TEXT` | makes a socket of Multipath TCP; connects and sends in one call |
//! | `stdin NAME` | takes standard input for a socket |
//! | `connect NAME ADDRESS` | connects it; answers its port |
//! | `send NAME TEXT` | writes a text (`\r`, `\n` are escaped) |
//! | `read NAME` | reads to the end, for five seconds at most; answers the text |
//! | `ask ADDRESS TEXT` | all of these with a socket of its own |
//! | `close NAME`, `abort NAME`, `finish NAME` | closes it (FIN), resets the connection (RST), shuts it for writing |
//! | `listen NAME PORT` | listens on 127.0.0.1 |
//! | `relay ADDRESS` | hands one connection on to an address; answers the port where it waits for it |
//! | `hold ADDRESS COUNT` | opens connections and keeps them |
//! | `churn ADDRESS MILLISECONDS FIRST COUNT TEXT` | connects from ports of a small range again and again, asks, closes or aborts |
//! | `join DIRECTORY` | writes itself into a cgroup |
//! | `mkdir DIRECTORY` | makes a cgroup |
//! | `placement`, `capabilities`, `hosting` | what the crate finds in this process's place |
//! | `start NAME SOCKET HOSTS` | starts another actor as an app of its own: cgroup, names |
//! | `harden` | may not be dumped from here on |
//! | `clone DIRECTORY SOCKET` | starts another actor directly in a cgroup that is there |
//! | `stage SOCKET` | starts another actor that has nothing of its own yet |
//! | `replace SOCKET HOSTS` | becomes another actor: names, a Landlock domain |
//! | `stop` | waits for that and removes its cgroup |
//! | `cat FILE`, `id` | a file's text; user, group |
//! | `write FILE`, `list DIRECTORY`, `link FILE`, `move FROM TO` | writes a word; names in it; where it leads; renames |
//! | `signal PID NUMBER` | sends a signal |
//! | `own DIRECTORY` | the same in a user namespace of its own, by a program that goes on into another one |
//! | `outpost DIRECTORY` | makes a network in a user namespace of another process, is connected to there, and finds it again by a process of the cgroup |
//! | `networks COUNT MOST` | makes and drops network namespaces where there may be so many; answers what is left of them |
//! | `limit DIRECTORY` | sets limits of a cgroup; answers what became of them |
//! | `become USER` | starts a program as a user; answers what came of it |
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a program of tests: a surprise is a failed test")]

use kernel::{
    AppCgroup, Hierarchy, Limiter, Limits, Network, NetworkId, NetworkPorts, Placement, Process, Program,
    UserNamespace,
};
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, sockopt};
use std::{
    collections::HashMap,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{fs::MetadataExt, net::UnixStream},
    },
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

/// The longest that is waited for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

fn main() {
    let control = std::env::args().nth(1).unwrap();
    if control == "outpost" {
        return kernel::outpost::serve().unwrap();
    }
    let mut control = UnixStream::connect(control).unwrap();
    let _refused = rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit { current: Some(16_384), maximum: Some(16_384) },
    );
    let mut actor = Actor::default();
    for line in BufReader::new(control.try_clone().unwrap()).lines() {
        let Ok(line) = line else { break };
        let answer = match actor.act(&line) {
            Ok(text) => format!("ok {}", text.escape_default()),
            Err(error) => format!("failed {:?} {error}", error.kind()),
        };
        if writeln!(control, "{answer}").is_err() {
            break;
        }
    }
    let _nothing_started = actor.stop();
    let _nothing_started = actor.stage.take().map(|stage| stage.wait());
}

#[derive(Default)]
struct Actor {
    sockets: HashMap<String, OwnedFd>,
    held: Vec<OwnedFd>,
    app: Option<(AppCgroup, Process)>,
    stage: Option<Process>,
}

impl Actor {
    fn act(&mut self, line: &str) -> io::Result<String> {
        let words: Vec<&str> = line.splitn(6, ' ').collect();
        let nothing = |()| String::new();
        match *words.as_slice() {
            ["socket", name, family, ref port @ ..] => {
                let socket = socket(family, port.first().map(|port| port.parse().unwrap()))?;
                self.sockets.insert(name.to_owned(), socket);
                Ok(String::new())
            }
            ["mapped", name] => {
                let socket = socket("6", None)?;
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), 0));
                rustix::net::bind(&socket, &address)?;
                self.sockets.insert(name.to_owned(), socket);
                Ok(String::new())
            }
            ["mptcp", name] => {
                let (flags, protocol) = (SocketFlags::CLOEXEC, Some(rustix::net::ipproto::MPTCP));
                let socket =
                    rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, protocol)?;
                self.sockets.insert(name.to_owned(), socket);
                Ok(String::new())
            }
            ["fastopen", name, address, ..] => {
                const MSG_FASTOPEN: u32 = 0x2000_0000;
                let flags = rustix::net::SendFlags::from_bits_retain(MSG_FASTOPEN);
                let address: SocketAddr = address.parse().unwrap();
                rustix::net::sendto(self.socket(name)?, rest(line, 3).as_bytes(), flags, &address)?;
                Ok(String::new())
            }
            ["stdin", name] => {
                self.sockets.insert(name.to_owned(), rustix::io::dup(io::stdin())?);
                Ok(String::new())
            }
            ["connect", name, address] => connect(self.socket(name)?, address),
            ["send", name, ..] => {
                let text = rest(line, 2);
                self.stream(name)?.write_all(text.as_bytes()).map(nothing)
            }
            ["read", name] => read(self.stream(name)?),
            ["ask", address, ..] => {
                let socket = socket("4", None)?;
                connect(&socket, address)?;
                let mut stream = TcpStream::from(socket);
                stream.write_all(rest(line, 2).as_bytes())?;
                read(stream)
            }
            ["close", name] => {
                drop(self.sockets.remove(name));
                Ok(nothing(()))
            }
            ["abort", name] => {
                let socket = self.sockets.remove(name).unwrap();
                sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
                Ok(String::new())
            }
            ["finish", name] => {
                rustix::net::shutdown(self.socket(name)?, Shutdown::Write)?;
                Ok(nothing(()))
            }
            ["listen", name, port] => {
                let socket = socket("4", Some(port.parse().unwrap()))?;
                rustix::net::listen(&socket, 8)?;
                self.sockets.insert(name.to_owned(), socket);
                Ok(String::new())
            }
            ["relay", address] => relay(address.to_owned()),
            ["hold", address, count] => {
                for _ in 0..count.parse::<usize>().unwrap() {
                    let socket = socket("4", None)?;
                    connect(&socket, address)?;
                    self.held.push(socket);
                }
                Ok(String::new())
            }
            ["churn", address, milliseconds, first, count, _] => {
                let time = Duration::from_millis(milliseconds.parse().unwrap());
                Ok(churn(address, time, first.parse().unwrap(), count.parse().unwrap(), &rest(line, 5)))
            }
            ["join", directory] => fs::write(Path::new(directory).join("cgroup.procs"), "0").map(nothing),
            ["mkdir", directory] => fs::create_dir(directory).map(nothing),
            ["placement"] => Ok(format!("{:?}", kernel::placement(&hierarchy()?))),
            ["capabilities"] => Ok(format!("{:?}", kernel::capabilities())),
            ["hosting"] => Ok(format!("{:?}", kernel::hosting())),
            ["start", name, control, hosts] => self.start(name, control, hosts).map(nothing),
            ["harden"] => {
                kernel::harden();
                Ok(String::new())
            }
            ["stage", control] => self.stage(control, None).map(nothing),
            ["clone", directory, control] => {
                let cgroup = AppCgroup::open(Path::new(directory)).map_err(io::Error::other)?;
                self.stage(control, Some(&cgroup)).map(nothing)
            }
            ["replace", control, hosts] => {
                let landlock = kernel::Landlock::new().map_err(io::Error::other)?;
                let program = Program {
                    arguments: vec![std::env::current_exe()?.into(), control.into()],
                    hosts: Some(hosts.into()),
                    landlock: Some(&landlock),
                    ..Program::default()
                };
                Err(io::Error::other(kernel::replace(&program)))
            }
            ["stop"] => self.stop().map(nothing),
            ["cat", file] => fs::read_to_string(file),
            ["write", file] => fs::write(file, "written").map(nothing),
            ["list", directory] => {
                let names = fs::read_dir(directory)?.flatten().map(|entry| entry.file_name());
                Ok(names.map(|name| name.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" "))
            }
            ["link", file] => fs::read_link(file).map(|target| target.to_string_lossy().into_owned()),
            ["move", from, to] => fs::rename(from, to).map(nothing),
            ["signal", process, number] => {
                let process = rustix::process::Pid::from_raw(process.parse().unwrap()).unwrap();
                let number = rustix::process::Signal::from_named_raw(number.parse().unwrap()).unwrap();
                Ok(rustix::process::kill_process(process, number).map(nothing)?)
            }
            ["own", directory] => own(&AppCgroup::open(Path::new(directory)).map_err(io::Error::other)?),
            ["outpost", directory] => {
                outpost(&AppCgroup::open(Path::new(directory)).map_err(io::Error::other)?)
            }
            ["networks", count, most] => networks(count.parse().unwrap(), most),
            ["limit", directory] => {
                let cgroup = AppCgroup::open(Path::new(directory)).map_err(io::Error::other)?;
                let limits =
                    Limits { memory_bytes: Some(1 << 26), cpu_thousandths: Some(500), processes: Some(50) };
                Ok(format!("{:?}", Limiter::apply(&limits, &cgroup).applied()))
            }
            ["become", user] => {
                let user = user.parse().unwrap();
                let (arguments, account) = (vec!["true".into()], kernel::Account::new(user, user));
                let program = Program { arguments, account, ..Program::default() };
                Ok(format!("{:?}", kernel::spawn(&program).map(|process| process.wait())))
            }
            ["id"] => {
                let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
                Ok(format!("{} {}", user.as_raw(), group.as_raw()))
            }
            _ => panic!("no such command: {line}"),
        }
    }

    fn socket(&self, name: &str) -> io::Result<&OwnedFd> {
        self.sockets.get(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn stream(&self, name: &str) -> io::Result<TcpStream> {
        Ok(TcpStream::from(self.socket(name)?.try_clone()?))
    }

    fn stage(&mut self, control: &str, cgroup: Option<&AppCgroup>) -> io::Result<()> {
        let program = Program {
            arguments: vec![std::env::current_exe()?.into(), control.into()],
            cgroup: cgroup.map(AppCgroup::directory),
            ..Program::default()
        };
        self.stage = Some(kernel::spawn(&program).map_err(io::Error::other)?);
        Ok(())
    }

    fn start(&mut self, name: &str, control: &str, hosts: &str) -> io::Result<()> {
        let (Placement::Root { parent } | Placement::Delegated { parent }) = kernel::placement(&hierarchy()?)
        else {
            return Err(io::ErrorKind::PermissionDenied.into());
        };
        let cgroup = AppCgroup::create(&parent, name).map_err(io::Error::other)?;
        let program = Program {
            arguments: vec![std::env::current_exe()?.into(), control.into()],
            cgroup: Some(cgroup.directory()),
            hosts: Some(hosts.into()),
            ..Program::default()
        };
        let child = kernel::spawn(&program).map_err(io::Error::other)?;
        self.app = Some((cgroup, child));
        Ok(())
    }

    fn stop(&mut self) -> io::Result<()> {
        let (cgroup, child) = self.app.take().ok_or(io::ErrorKind::NotFound)?;
        cgroup.kill().map_err(io::Error::other)?;
        child.wait()?;
        cgroup.remove().map_err(io::Error::other)
    }
}

fn hierarchy() -> io::Result<Hierarchy> {
    Hierarchy::discover().map_err(io::Error::other)
}

/// What follows a number of words, without its escapes.
fn rest(line: &str, words: usize) -> String {
    let text = line.splitn(words + 1, ' ').last().unwrap_or_default();
    text.replace("\\r", "\r").replace("\\n", "\n")
}

fn socket(family: &str, port: Option<u16>) -> io::Result<OwnedFd> {
    let is_ipv6 = family == "6";
    let family = if is_ipv6 { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if let Some(port) = port {
        let ip = if is_ipv6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
        rustix::net::bind(&socket, &SocketAddr::new(ip, port))?;
    }
    Ok(socket)
}

/// Connects and answers the port.
fn connect(socket: &OwnedFd, address: &str) -> io::Result<String> {
    let address: SocketAddr = address.parse().unwrap();
    rustix::net::connect(socket, &address)?;
    let own = SocketAddr::try_from(rustix::net::getsockname(socket)?)?;
    Ok(own.port().to_string())
}

fn read(mut stream: TcpStream) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn relay(target: String) -> io::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || -> io::Result<()> {
        let (mut from, _) = listener.accept()?;
        let mut to = TcpStream::connect(target)?;
        let (mut back, mut forth) = (to.try_clone()?, from.try_clone()?);
        std::thread::spawn(move || io::copy(&mut forth, &mut to));
        io::copy(&mut back, &mut from)?;
        from.shutdown(std::net::Shutdown::Both)
    });
    Ok(port.to_string())
}

/// Says how many descriptors and threads more there are after it.
fn networks(count: usize, most: &str) -> io::Result<String> {
    let ports = NetworkPorts { loopback: vec![0, 8_080], metadata: true };
    let number = |directory: &str| fs::read_dir(directory).unwrap().count();
    let open = || (number("/proc/self/fd"), number("/proc/self/task"));
    if !most.is_empty() {
        // Counted by the kernel for each user namespace and user.
        fs::write("/proc/sys/user/max_net_namespaces", most)?;
    }
    let before = open();
    let begin = Instant::now();
    for _ in 0..count {
        // The kernel takes one away some time after nobody has it any more.
        let since = Instant::now();
        let network = loop {
            match Network::create(&ports) {
                Ok(network) => break network,
                Err(error) if since.elapsed() > PATIENCE => {
                    return Err(io::Error::other(format!("{error:?}")));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        assert_eq!(network.listeners.len(), 3);
    }
    let time = begin.elapsed() / u32::try_from(count).unwrap();
    // A thread that was waited for is in the list for a moment yet: the kernel wakes who waits before it takes it out.
    let since = Instant::now();
    let after = loop {
        let after = open();
        if after == before || since.elapsed() > PATIENCE {
            break after;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    Ok(format!("{} {} {time:?}", after.0 - before.0, after.1 - before.1))
}

/// Says how many answers began with `200`, how many were others, and how often there was none.
fn churn(address: &str, time: Duration, first: u16, count: u16, text: &str) -> String {
    let (mut served, mut refused, mut nothing) = (0, 0, 0);
    // A generator of George Marsaglia's (xorshift); the seed need only differ between processes.
    let mut random = std::process::id() | 1;
    let begin = Instant::now();
    while begin.elapsed() < time {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        let attempt = || -> io::Result<String> {
            let port = first + u16::try_from(random % u32::from(count)).unwrap();
            let socket = socket("4", Some(port))?;
            connect(&socket, address)?;
            if random & 0x100 != 0 {
                sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
            }
            let mut stream = TcpStream::from(socket);
            stream.write_all(text.as_bytes())?;
            if random & 0x600 == 0 { Ok(String::new()) } else { read(stream) }
        };
        match attempt() {
            Ok(answer) if answer.contains("200") => served += 1,
            Ok(answer) if !answer.is_empty() => refused += 1,
            _ => nothing += 1,
        }
    }
    format!("{served} {refused} {nothing}")
}

/// Answers in which cgroups those were who connected: before, and when it was found again.
fn outpost(cgroup: &AppCgroup) -> io::Result<String> {
    let other = |error| io::Error::other(format!("{error:?}"));
    let ports = NetworkPorts { loopback: vec![0], metadata: true };
    let mut owner =
        Started(Command::new("unshare").args(["--user", "--map-root-user", "sleep", "30"]).spawn()?);
    let began = Instant::now();
    let users = loop {
        let users = UserNamespace::of(owner.0.id())?;
        if !users.is_own()? || began.elapsed() > PATIENCE {
            break users;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let network = Network::create_in(&users, &ports).map_err(other)?;
    let id = NetworkId::held(&network.namespace)?;
    let before = connected(&network)?;
    without_outpost(&network)?;
    assert_eq!(connected(&network)?, before);
    let address = network.listeners.first().unwrap().local_addr()?;
    assert!(TcpStream::connect(address).is_err(), "in our network nobody listens there");
    let user = format!("--user=/proc/{}/ns/user", owner.0.id());
    let net = format!("--net={}", network.namespace.path().display());
    let mut inside = Command::new("nsenter");
    let inside = Started(inside.args([&user, &net, "--preserve-credentials", "sleep", "30"]).spawn()?);
    let its = format!("/proc/{}/ns/net", inside.0.id());
    while fs::metadata(&its)?.ino() != id.number() && began.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(2));
    }
    // As at the end of a server; the process keeps it.
    drop(network);
    owner.0.kill()?;
    let after = connected(&kernel::network_of(cgroup, id, &ports).map_err(other)?)?;
    Ok(format!("{before} {after}"))
}

/// Answers the same of a network that is this user's own.
fn own(cgroup: &AppCgroup) -> io::Result<String> {
    let other = |error| io::Error::other(format!("{error:?}"));
    let ports = NetworkPorts { loopback: vec![0], metadata: true };
    let network = Network::create_own(&ports).map_err(other)?;
    let id = NetworkId::held(&network.namespace)?;
    let before = connected(&network)?;
    without_outpost(&network)?;
    assert_eq!(connected(&network)?, before);
    let address = network.listeners.first().unwrap().local_addr()?;
    assert!(TcpStream::connect(address).is_err(), "in our network nobody listens there");
    // Its user is who it was; it may go on into a user namespace, as whatever mounts something does.
    let script = format!("test \"$(id -u)\" = {} && exec unshare --user sleep 30", kernel::effective_uid());
    let program = Program {
        arguments: ["/bin/sh", "-c", &script].map(Into::into).to_vec(),
        environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
        users: network.namespace.users(),
        network: Some(network.namespace.as_fd()),
        ..Program::default()
    };
    let process = kernel::spawn(&program).map_err(io::Error::other)?;
    let began = Instant::now();
    let its = |kind: &str| fs::metadata(format!("/proc/{}/ns/{kind}", process.id())).map(|file| file.ino());
    let users = fs::metadata("/proc/self/ns/user")?.ino();
    while its("net")? != id.number() || its("user")? == users {
        assert!(began.elapsed() < PATIENCE, "it is there");
        std::thread::sleep(Duration::from_millis(2));
    }
    drop(network);
    let after = connected(&kernel::network_of(cgroup, id, &ports).map_err(other)?)?;
    process.signal(9)?;
    let _ended = process.wait().map_err(io::Error::other)?;
    Ok(format!("{before} {after}"))
}

/// Ends the process of ours that is in a network, as whoever is short of memory does.
fn without_outpost(network: &Network) -> io::Result<()> {
    let path = network.namespace.path();
    let id: i32 = path.iter().nth(2).unwrap().to_str().unwrap().parse().unwrap();
    assert_ne!(u32::try_from(id).unwrap(), std::process::id());
    Ok(rustix::process::kill_process(
        rustix::process::Pid::from_raw(id).unwrap(),
        rustix::process::Signal::KILL,
    )?)
}

/// Connects to both of our addresses there: the cgroup of who that was.
fn connected(network: &Network) -> io::Result<u64> {
    let mut peers = Vec::new();
    for listener in &network.listeners {
        let client = network.namespace.connect(listener.local_addr()?)?;
        listener.set_nonblocking(false)?;
        let (accepted, _) = listener.accept()?;
        let peer = network.attestor.attest(accepted.as_fd()).map_err(io::Error::other)?;
        peers.push(peer.facts().cgroup.number());
        drop(client);
    }
    match *peers.as_slice() {
        [one, other] if one == other => Ok(one),
        _ => Err(io::Error::other(format!("{peers:?}"))),
    }
}

/// Ended with this value.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _ended = self.0.wait();
    }
}
