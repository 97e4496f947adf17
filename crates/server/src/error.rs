//! Why the server did not start. Each message says what to do next, since a person in front of a terminal reads it.

use crate::{config::ConfigError, seal::SealError};
use std::{net::SocketAddr, path::PathBuf};

/// Why the server did not start, or a command on its data directory was not done.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data directory cannot be used.
    #[error("the data directory {} cannot be used: {what}", path.display())]
    DataDir {
        /// Which.
        path: PathBuf,
        /// Why, and what to do.
        what: String,
    },
    /// There is none yet.
    #[error("{} holds no installation: `keyless up` makes one", path.display())]
    NothingHere {
        /// Where.
        path: PathBuf,
    },
    /// A test clock was asked for, and what is there was not made for test.
    #[error("--test-clock: {} was not made for test, and nobody travels in time with real secrets: choose an empty directory with --data-dir",
        path.display())]
    NotForTest {
        /// The data directory.
        path: PathBuf,
    },
    /// It was made for test, and no test clock was asked for.
    #[error("{} was made with --test-clock and is only ever started with it: its clock may be ahead of the real one; \
             choose another directory with --data-dir, or give --test-clock", path.display())]
    ForTestOnly {
        /// The data directory.
        path: PathBuf,
    },
    /// Another domain was said than that of the installation.
    #[error("setting domain: {said} (in {origin}) is not the domain of {}, which is {kept} since its first start: its users, the URLs of its \
             vaults and its issuer are named by it. Leave the setting out, or choose another directory with --data-dir", path.display())]
    OtherDomain {
        /// The data directory.
        path: PathBuf,
        /// Its domain.
        kept: String,
        /// The other one.
        said: String,
        /// Where that was said.
        origin: String,
    },
    /// Another process holds it.
    #[error("another keyless already runs on {}{}: `keyless status` shows it; to have two, give each its own --data-dir and --port",
        path.display(), pid.map_or_else(String::new, |pid| format!(" (process {pid})")))]
    AlreadyRunning {
        /// The data directory.
        path: PathBuf,
        /// The other process.
        pid: Option<u32>,
    },
    /// The root key is not to be had.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The certificates that outside issuers are trusted by.
    #[error("issuer_ca_file: {0}; name a file of certificates (PEM), or leave the setting out")]
    IssuerCaFile(String),
    /// An address cannot be listened on.
    // The cause is told, with what to do behind it: it is no `source`, whose words would come once more.
    #[error("cannot listen on {address}: {cause}{}", mend(cause))]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        cause: std::io::Error,
    },
    /// The gate before endpoints was asked for, and cannot be had.
    #[error("--connect-gate: {}; it needs root of the host (with the capabilities BPF and NET_ADMIN) and Linux 5.14 or newer: \
             start without it, and strangers are refused after they have connected", domain::chain(.0))]
    NoGate(kernel::KernelError),
    /// The system gives no threads, or nothing for them to wait with.
    #[error("cannot make the threads that answer requests: {0}")]
    Threads(std::io::Error),
    /// What systemd passed to us is no TCP socket.
    #[error("a socket that systemd passed cannot be used: {0}; its unit may have TCP addresses only")]
    PassedSocket(std::io::Error),
    /// Systemd passed a socket of an address that is not configured.
    #[error(
        "systemd passed a socket that listens on {passed}, and the configuration has {}: let ListenStream= of keyless.socket and \
             `listen` and `port` of the configuration say the same (`keyless service install --socket` writes the unit anew)",
        all(configured)
    )]
    PassedElsewhere {
        /// What was passed.
        passed: SocketAddr,
        /// What is to be listened on.
        configured: Vec<SocketAddr>,
    },
    /// The admin socket cannot be made.
    #[error("cannot make the admin socket {}: {source}", path.display())]
    AdminSocket {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of ours cannot be written or read.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Enforcement was required.
    #[error("--require-enforced: the kernel cannot attest callers here: {why}; {mend}")]
    NotEnforced {
        /// What is missing.
        why: String,
        /// What to do about it.
        mend: String,
    },
    /// The store does not answer.
    #[error("the store: {0}")]
    Store(#[from] store::StoreError),
    /// The store is not as it was written. What was met first is told; `verify` finds all.
    #[error("the store: {0} (`keyless verify` tells more)")]
    StoreDamaged(store::StoreError),
    /// Cryptography: the data directory was changed by someone else, or does not belong together.
    #[error("{0}")]
    Crypt(#[from] crypt::CryptError),
    /// The audit log. Without it nothing may be answered.
    #[error("{0}")]
    Audit(#[from] audit::AuditError),
    /// The kernel.
    #[error("{0}")]
    Kernel(#[from] kernel::KernelError),
    /// The directory did not come up.
    #[error("the directory: {0}")]
    Directory(#[from] directory::DirectoryError),
    /// The vaults did not come up.
    #[error("the vaults: {0}")]
    Vault(#[from] vault::VaultError),
    /// The apps did not come up.
    #[error("the apps: {0}")]
    Host(#[from] host::HostError),
    /// TLS did not come up.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

fn all(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

fn mend(cause: &std::io::Error) -> &'static str {
    match cause.kind() {
        std::io::ErrorKind::AddrInUse => {
            "; another program has that port: give another with --port, or stop it"
        }
        std::io::ErrorKind::PermissionDenied => "; ports below 1024 need root or CAP_NET_BIND_SERVICE",
        std::io::ErrorKind::AddrNotAvailable => "; no interface of this machine has that address",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A taken port was "Address already in use (os error 98); another program …: Address already in use (os error 98)".
    #[test]
    fn a_cause_is_told_once() {
        let cause = |number| std::io::Error::from_raw_os_error(number);
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        let gate = kernel::KernelError::System { doing: "load a program", source: cause(1) };
        for error in [
            StartError::Listen { address, cause: cause(98) },
            StartError::NoGate(gate),
            StartError::PassedSocket(cause(22)),
            StartError::File { path: "x".into(), source: cause(2) },
        ] {
            let told = domain::chain(&error);
            assert_eq!(told.matches("os error").count(), 1, "{told}");
        }
    }
}
