//! The signals by which somebody asks the server to stop.
//!
//! Owns: which they are, and that none is lost from when they are listened for. Owns not: the stop itself (`run`).

use tokio::signal::unix::{Signal, SignalKind, signal};

/// How a server was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// By SIGINT.
    Interrupted,
    /// By SIGTERM; or by SIGHUP, as of a terminal that is closed.
    Terminated,
}

/// SIGINT, as a person's Ctrl-C sends it, SIGTERM, as whoever starts the server again does, and SIGHUP, as a terminal that is closed sends it,
/// unless that was ignored when the process began (`nohup`).
///
/// One for as long as the process lives: what listens to a signal takes its own effect from it for good, so that one that comes while nobody
/// listens any more would do nothing at all.
#[derive(Debug)]
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl StopSignals {
    /// From now on none of them ends the process, and one that comes is kept until somebody asks.
    ///
    /// # Errors
    /// The system takes no handler.
    pub fn listen() -> std::io::Result<Self> {
        Self::listen_unless(ignores_hangup())
    }

    fn listen_unless(ignores_hangup: bool) -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            // To listen for it is to ignore it no more.
            hangup: if ignores_hangup { None } else { Some(signal(SignalKind::hangup())?) },
        })
    }

    /// Waits until one of them comes, or has come. Whoever stops waiting loses none.
    pub async fn asked(&mut self) -> Asked {
        let hung_up = async {
            match &mut self.hangup {
                Some(hangup) => drop(hangup.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Interrupted,
            _ = self.terminate.recv() => Asked::Terminated,
            () = hung_up => Asked::Terminated,
        }
    }
}

/// Was SIGHUP ignored when the process began? So it is as long as nobody listens for it.
fn ignores_hangup() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| is_hangup_ignored(&status))
}

/// As `proc_pid_status(5)` tells it: a bit for each signal, the lowest for SIGHUP.
fn is_hangup_ignored(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{process::Command, time::Duration};

    /// A terminal that was closed killed the server as `kill -9` does; and a stop that came between two who asked did nothing.
    #[tokio::test]
    async fn a_closed_terminal_asks_to_stop_unless_that_was_ignored_and_nothing_is_lost() {
        let mut listening = StopSignals::listen_unless(false).unwrap();
        let mut ignoring = StopSignals::listen_unless(true).unwrap();
        let soon = Duration::from_millis(50);
        assert!(tokio::time::timeout(soon, listening.asked()).await.is_err(), "nobody has asked yet");
        // The shell's own: a machine may have no other. Nobody waits when it comes.
        let kill = format!("kill -HUP {}", std::process::id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        tokio::time::sleep(soon).await;
        let asked = tokio::time::timeout(Duration::from_secs(10), listening.asked());
        assert_eq!(asked.await, Ok(Asked::Terminated));
        assert!(tokio::time::timeout(soon, listening.asked()).await.is_err(), "it asks once");
        assert!(tokio::time::timeout(soon, ignoring.asked()).await.is_err());
    }

    #[test]
    fn what_was_ignored_when_the_process_began_is_seen() {
        for (status, is_ignored) in [
            ("Name:\tx\nSigIgn:\t0000000000000001\n", true),
            ("SigIgn:\t0000000000001001\n", true),
            ("SigIgn:\t0000000000001000\nSigCgt:\t0000000000000001\n", false),
            ("", false),
        ] {
            assert_eq!(is_hangup_ignored(status), is_ignored, "{status}");
        }
    }
}
