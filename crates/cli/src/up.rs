//! `keyless up`: the server in the foreground.

use crate::{
    Global,
    admin::Admin,
    apply::Wanted,
    clock,
    failure::{FAILED, Failure, NOT_APPLIED},
    files,
    output::{self, Colour, Format, paint},
};
use domain::{DomainName, Secret};
use server::{Asked, Layout, Running, SealError, StopSignals};
use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write},
    net::IpAddr,
    os::{
        fd::AsFd,
        unix::fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long the reader of a pipe may take to go away when it has the recovery key. Ours: a program that wants no more goes in a millisecond or two.
const READER_TIME_MAX: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The domain below which the directory and the vaults have their host names, for good [default: keyless.localhost; later that of the first start]
    #[arg(long, value_name = "NAME")]
    domain: Option<DomainName>,
    /// The public port [default: 8443]
    #[arg(long)]
    port: Option<u16>,
    /// An address to listen on; may be given several times [default: 127.0.0.1 and ::1]
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<IpAddr>,
    /// A file whose first line is the passphrase that opens the root key, instead of a key file
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Refuse to start where the kernel cannot attest
    #[arg(long)]
    require_enforced: bool,
    /// Keep everybody but an app from even connecting to the app's endpoint, by a BPF program: as root, else refuse to start
    #[arg(long)]
    connect_gate: bool,
    /// Make a data directory for tests whose clock can be moved forward (keyless clock advance 91d); never with real secrets
    #[arg(long)]
    test_clock: bool,
    /// When audit records are synced to disk: every-second, or each-record (before each answer)
    #[arg(long, value_name = "WHEN")]
    audit_sync: Option<String>,
    /// Apply this file (see keyless apply) before the server says that it is ready; if that fails it stops: with status 78 if the file is to blame
    #[arg(long, value_name = "FILE")]
    apply: Option<PathBuf>,
    /// Logs on stderr: human or json
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// What is logged, such as warn or info,wire=debug
    #[arg(long, value_name = "FILTER")]
    log_filter: Option<String>,
}

impl Args {
    fn flags(&self) -> Result<Vec<(&'static str, String)>, Failure> {
        let mut flags = Vec::new();
        let mut set = |key, value: Option<String>| flags.extend(value.map(|value| (key, value)));
        set("domain", self.domain.as_ref().map(ToString::to_string));
        set("port", self.port.map(|port| port.to_string()));
        let listen: Vec<String> = self.listen.iter().map(ToString::to_string).collect();
        set("listen", (!listen.is_empty()).then(|| listen.join(",")));
        set("require_enforced", self.require_enforced.then(|| "true".into()));
        set("connect_gate", self.connect_gate.then(|| "true".into()));
        set("test_clock", self.test_clock.then(|| "true".into()));
        set("audit_sync", self.audit_sync.clone());
        set("log_format", self.log_format.clone());
        set("log_filter", self.log_filter.clone());
        if let Some(path) = &self.passphrase_file {
            set("passphrase_file", Some(std::path::absolute(path)?.display().to_string()));
        }
        Ok(flags)
    }
}

pub(crate) fn up(global: &Global, args: &Args) -> Result<(), Failure> {
    let begin = Instant::now();
    let config = global.config(args.flags()?)?;
    // Before anything is made: a file that cannot be read starts no server.
    let wanted = args.apply.as_deref().map(Wanted::read).transpose();
    let wanted = wanted.map_err(not_applied)?;
    server::telemetry::begin(&config)?;
    let runtime = server::runtime()?;
    let data = config.data_dir.clone();
    runtime.block_on(async {
        let running = server::start(config, Box::new(|key| announce(key, &data))).await?;
        // Once, and before anybody is told that it is there: until now a signal ends the process, from now on it is one of these.
        let mut signals = StopSignals::listen()?;
        // Gone from memory when it is done, with the values that it holds.
        if let Some(wanted) = wanted {
            let admin = Admin::new(Layout::of(data.clone()));
            let applied = tokio::select! {
                applied = wanted.apply(&admin, Format::Table, false) => applied.map(|()| None),
                asked = signals.asked() => Ok(Some(asked)),
            };
            match applied {
                Ok(None) => {}
                Ok(Some(asked)) => return stop(running, asked).await,
                Err(failure) => {
                    // Not ready with a part of the file: hosted apps run on, and whoever mends the reason starts it again.
                    running.stop(Asked::Terminated).await;
                    return Err(not_applied(failure));
                }
            }
        }
        greet(&running, begin);
        server::systemd::notify("READY=1");
        let asked = signals.asked().await;
        stop(running, asked).await
    })
}

/// By the status systemd knows whether another start may come to something: not as long as the file is as it is, but well if a volume was not
/// there yet.
fn not_applied(failure: Failure) -> Failure {
    let code = if failure.is_lasting() { NOT_APPLIED } else { FAILED };
    failure.code(code)
}

async fn stop(running: Running, asked: Asked) -> Result<(), Failure> {
    match (running.instances(), asked) {
        (0, _) => output::note("stopping"),
        (_, Asked::Interrupted) => {
            output::note("stopping, and hosted apps with it; the next start starts them again")
        }
        (_, Asked::Terminated) => {
            output::note("stopping; hosted apps run on, and the next start goes on with them")
        }
    }
    server::systemd::notify("STOPPING=1");
    running.stop(asked).await;
    Ok(())
}

/// The only time that anybody sees the recovery key. It goes to stdout with the rest, but never into a log: where that is systemd's journal,
/// which is kept and which others may read, it goes to a file; so it does where nobody can see it. If it cannot be told nothing is made.
fn announce(recovery_key: &Secret<String>, data: &Path) -> Result<(), SealError> {
    let named = crate::variable("JOURNAL_STREAM");
    let is_journal = is_journal(named.as_deref().and_then(OsStr::to_str), io::stdout());
    if is_journal || leads_nowhere(io::stdout()) {
        let path = keep(recovery_key, data)?;
        let instead = if is_journal { "and not in this journal" } else { "as standard output leads nowhere" };
        let told = format!(
            "{} The recovery key is in {}, {instead}: write it down or move it to another place, prove your copy with `keyless recover`, and \
             remove the file.",
            paint(Colour::Strong, "First start."),
            path.display()
        );
        if is_journal {
            output::line(told)
        } else {
            output::note(told)
        }
        return Ok(());
    }
    let is_pipe = metadata(io::stdout()).is_some_and(|is| is.file_type().is_fifo());
    let pause = if is_pipe { READER_TIME_MAX } else { Duration::ZERO };
    show(recovery_key, &mut io::stdout().lock(), pause).map_err(|error| SealError::File {
        path: PathBuf::from("standard output"),
        what: format!(
            "{error}: the recovery key could not be shown, so that nothing was made; start it where somebody reads what it says"
        ),
    })
}

/// Shows the recovery key. That the reader of a pipe has gone, as `head` does with the lines that it wanted, is known by the next write only: so
/// after a pause there is one more.
fn show(recovery_key: &Secret<String>, out: &mut impl Write, pause: Duration) -> io::Result<()> {
    let title = paint(Colour::Strong, "First start. Write down the recovery key; it is shown this once:");
    writeln!(out, "{title}\n    {}\n", paint(Colour::Strong, recovery_key.expose()))?;
    out.flush()?;
    std::thread::sleep(pause);
    writeln!(
        out,
        "  It opens every secret here if the key file is lost. Prove your copy with `keyless recover`.\n"
    )?;
    out.flush()
}

fn metadata(stream: impl AsFd) -> Option<fs::Metadata> {
    let stream = stream.as_fd().try_clone_to_owned();
    stream.and_then(|stream| File::from(stream).metadata()).ok()
}

/// Is it `/dev/null`? So is one that was closed: the runtime opens it as that.
fn leads_nowhere(stream: impl AsFd) -> bool {
    let nowhere = fs::metadata("/dev/null").map(|null| null.rdev());
    metadata(stream)
        .is_some_and(|is| is.file_type().is_char_device() && nowhere.is_ok_and(|it| it == is.rdev()))
}

/// Is that the stream of which systemd says that it leads to the journal (systemd.exec(5), `$JOURNAL_STREAM`)? The variable alone says
/// nothing: whatever a service starts inherits it, with other streams.
fn is_journal(named: Option<&str>, stream: impl AsFd) -> bool {
    let Some((device, inode)) = named.and_then(|named| named.split_once(':')) else { return false };
    metadata(stream).is_some_and(|is| device.parse() == Ok(is.dev()) && inode.parse() == Ok(is.ino()))
}

/// Beside the key file, for its owner only, and on disk before there is anything that it opens.
fn keep(recovery_key: &Secret<String>, data: &Path) -> Result<PathBuf, SealError> {
    let path = data.join("recovery.key");
    let failed = |what| SealError::File { path: path.clone(), what };
    if fs::symlink_metadata(&path).is_ok() {
        // Of an installation that was here, or of a start that came to nothing.
        return Err(failed("it is there already, and may open something: move it elsewhere".to_owned()));
    }
    let line = Secret::new(format!("{}\n", recovery_key.expose()));
    files::write(&path, false, line.expose().as_bytes()).map_err(|error| failed(error.to_string()))?;
    File::open(data).and_then(|data| data.sync_all()).map_err(|error| failed(error.to_string()))?;
    Ok(path)
}

fn greet(running: &Running, begin: Instant) {
    let names = running.names();
    let addresses: Vec<String> = running.addresses().iter().map(ToString::to_string).collect();
    let took = begin.elapsed().as_millis();
    output::line(format_args!(
        "{} in {took} ms on {}",
        paint(Colour::Good, "keyless is ready"),
        addresses.join(" and ")
    ));
    output::line(format_args!("  directory  {}", names.login_base()));
    let example = names.vault_resource().replacen("https://", "https://NAME.", 1);
    output::line(format_args!("  vaults     {example}"));
    output::line(format_args!("  data       {}", running.data_dir().display()));
    output::line("  run an app keyless run --app NAME -- COMMAND ARGS...");
    output::line("  stop       Ctrl-C");
    if let Some((now, ahead)) = running.test_time() {
        output::line(format_args!(
            "  {} it is {} here; move it by `keyless clock advance`. For tests only: no time here is real, keep no real secrets here",
            paint(Colour::Warn, format_args!("{}:", clock::told(ahead.as_secs()))),
            output::time(now.seconds()),
        ));
    }
    for capability in running.capabilities().iter().filter(|capability| !capability.enforced) {
        let (why, mend) =
            (capability.why.as_deref().unwrap_or_default(), capability.mend.as_deref().unwrap_or_default());
        output::line(format_args!(
            "  {} {}: {why}; {mend}",
            paint(Colour::Warn, "UNENFORCED"),
            capability.name
        ));
    }
    for warning in running.warnings() {
        output::line(format_args!("  {} {warning}", paint(Colour::Warn, "note")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_stream_that_systemd_names_is_its_journal() {
        let (one, other) = io::pipe().unwrap();
        let metadata = File::from(one.as_fd().try_clone_to_owned().unwrap()).metadata().unwrap();
        let named = format!("{}:{}", metadata.dev(), metadata.ino());
        assert!(is_journal(Some(&named), &one));
        // A program that a service has started, with its output elsewhere.
        assert!(!is_journal(Some(&named), File::open("/dev/null").unwrap()));
        for not in [None, Some(""), Some("1:2"), Some("x"), Some(&*format!("{}:", metadata.dev()))] {
            assert!(!is_journal(not, &other), "{not:?}");
        }
    }

    #[test]
    fn a_recovery_key_that_is_kept_is_its_owners_and_replaces_none() {
        let place = std::env::temp_dir().join(format!("keyless-cli-{}-recovery", std::process::id()));
        let _none = fs::remove_dir_all(&place);
        fs::create_dir(&place).unwrap();
        let path = keep(&Secret::new("KEY".to_owned()), &place).unwrap();
        assert_eq!(path, place.join("recovery.key"));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let refused = keep(&Secret::new("OTHER".to_owned()), &place).unwrap_err().to_string();
        assert!(refused.contains("move it"), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "KEY\n");
        fs::remove_dir_all(&place).unwrap();
    }

    /// On a full disk, or into a pipe that nobody reads, it was lost for good, and the installation was made all the same.
    #[test]
    fn a_recovery_key_that_nobody_sees_makes_no_installation() {
        let key = Secret::new("KEY".to_owned());
        let mut shown = Vec::new();
        show(&key, &mut shown, Duration::ZERO).unwrap();
        let shown = String::from_utf8(shown).unwrap();
        // Also to who reads two lines.
        assert!(shown.lines().nth(1).unwrap().contains("KEY"), "{shown}");
        let mut full = io::LineWriter::new(File::options().write(true).open("/dev/full").unwrap());
        assert_eq!(show(&key, &mut full, Duration::ZERO).unwrap_err().kind(), io::ErrorKind::StorageFull);
        let (mut reader, mut pipe) = io::pipe().unwrap();
        let head = std::thread::spawn(move || io::Read::read(&mut reader, &mut [0; 256]).unwrap());
        assert_eq!(show(&key, &mut pipe, READER_TIME_MAX).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(head.join().unwrap() > 0);
        assert!(leads_nowhere(File::open("/dev/null").unwrap()));
        assert!(!leads_nowhere(File::open("/dev/full").unwrap()) && !leads_nowhere(pipe));
    }
}
