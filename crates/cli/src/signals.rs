//! Signals of `keyless run` are the app's: which are handed on, and which the terminal has already given to both.
//!
//! A key on the terminal (Ctrl-C, Ctrl-\) signals the whole foreground process group: the app, too, since it is in ours. Handing the
//! signal on would deliver it twice, and a second SIGINT makes many programs quit without cleaning up. So SIGINT, SIGQUIT and SIGHUP
//! are only handed on while we are *not* the foreground of a terminal, as under a service manager or in a pipeline of a script. Stop
//! and continue (Ctrl-Z, `fg`) need nothing: they stop and continue the whole group.

use std::fs;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Handed on always: nobody but a process sends these.
const DIRECT: [i32; 3] = [SIGTERM, SIGUSR1, SIGUSR2];
/// Handed on unless the terminal did.
const FROM_TERMINALS: [i32; 4] = [SIGINT, SIGQUIT, SIGHUP, SIGWINCH];

// Linux, all architectures that Rust's std supports but MIPS and SPARC (signal(7)).
const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGQUIT: i32 = 3;
const SIGUSR1: i32 = 10;
const SIGUSR2: i32 = 12;
const SIGTERM: i32 = 15;
const SIGWINCH: i32 = 28;

/// Signals that came, one after the other.
pub(crate) struct Signals(Vec<(i32, Signal)>);

impl Signals {
    /// From now on none of them ends this process.
    pub(crate) fn catch() -> std::io::Result<Self> {
        let caught = DIRECT.into_iter().chain(FROM_TERMINALS);
        caught
            .map(|number| Ok((number, signal(SignalKind::from_raw(number))?)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The next signal that is to be handed on.
    pub(crate) async fn next(&mut self) -> i32 {
        loop {
            let came = std::future::poll_fn(|context| {
                let ready = self
                    .0
                    .iter_mut()
                    .find_map(|(number, signal)| signal.poll_recv(context).is_ready().then_some(*number));
                ready.map_or(std::task::Poll::Pending, std::task::Poll::Ready)
            })
            .await;
            if DIRECT.contains(&came) || !is_foreground() {
                return came;
            }
        }
    }
}

/// Is our process group the one that the terminal signals?
fn is_foreground() -> bool {
    fs::read_to_string("/proc/self/stat").is_ok_and(|stat| {
        // After the name in parentheses, which may hold anything: state, parent, group, session, terminal, its foreground group.
        let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace().skip(2);
        let (group, terminal, foreground) = (fields.next(), fields.nth(1), fields.next());
        terminal != Some("0") && group.is_some() && group == foreground
    })
}
