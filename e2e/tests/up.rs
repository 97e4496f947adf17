//! First start, status, doctor, recovery, and the audit log as an operator sees it.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use e2e::{Server, settings, skip, wait};

#[test]
fn a_first_start_makes_a_private_directory_and_listens_on_both_loopbacks() {
    let server = Server::start("first");
    let mode = std::fs::metadata(server.data()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert!(std::net::TcpStream::connect(("::1", server.port())).is_ok());
    assert!(server.first_words().contains(&server.port().to_string()), "{}", server.first_words());
}

#[test]
fn a_demo_that_is_ended_leaves_nothing_behind() {
    let place = e2e::TemporaryDirectory::new("demo");
    let app = place.path().join("app");
    std::fs::write(&app, "#!/bin/sh\nsleep 600 &\necho $! > \"$0.pid\"\nwait\n").unwrap();
    std::fs::set_permissions(&app, std::fs::Permissions::from_mode(0o755)).unwrap();
    let files = place.path().join("files");
    std::fs::create_dir(&files).unwrap();
    // It says nothing and goes on, so that the demo waits for it.
    let mut command = std::process::Command::new(settings::binary("keyless"));
    command.args(["demo", "--app"]).arg(&app);
    // None of the variables by which scenarios are told things: a server takes them for settings.
    command
        .env_clear()
        .env("PATH", e2e::server::search_path())
        .env("TMPDIR", &files)
        .env("HOME", place.path());
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid_file = place.path().join("app.pid");
    let pid = || std::fs::read_to_string(&pid_file).ok()?.trim().parse::<u32>().ok();
    wait::until("the app runs", wait::LIMIT, || pid().is_some());
    e2e::server::signal(&child, rustix::process::Signal::TERM);
    let ended = wait::ended(child, wait::LIMIT, "keyless demo");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.code() == Some(143) && said.contains("stopped by a signal"), "{said}");
    assert_eq!(std::fs::read_dir(&files).unwrap().count(), 0, "{said}");
    let stat = || std::fs::read_to_string(format!("/proc/{}/stat", pid().unwrap())).unwrap_or_default();
    wait::until("the app has ended", wait::LIMIT, || {
        let stat = stat();
        stat.is_empty() || stat.contains(") Z")
    });
}

#[test]
fn another_user_cannot_reach_the_administrators_socket() {
    if !settings::is_root() {
        return skip("another user: needs root");
    }
    let server = Server::start("socket");
    // Tried where only the file's own permissions could stand in the way, too.
    for mode in [0o700, 0o711] {
        std::fs::set_permissions(server.data(), std::fs::Permissions::from_mode(mode)).unwrap();
        let mut other = std::process::Command::new(server.raw());
        other.arg(server.data().join("admin.sock")).uid(65_534).gid(65_534);
        let request = b"GET /v1/status HTTP/1.1\r\nHost: keyless\r\nConnection: close\r\n\r\n";
        let said = String::from_utf8(wait::output(&mut other, request).stdout).unwrap();
        assert!(!said.contains("200 OK"), "{mode:o}: {said}");
    }
}

#[test]
fn a_second_server_on_one_directory_is_refused() {
    let server = Server::start("second");
    let ended = server.keyless(["up"]);
    assert_ne!(ended.code, Some(0));
    assert!(ended.stderr.contains("already runs"), "{}", ended.said());
}

#[test]
fn a_crash_would_leave_no_core() {
    let server = Server::start("core");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let core: Vec<&str> = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap()
        .split_whitespace()
        .collect();
    assert_eq!(core[4..6], ["0", "0"], "{core:?}");
}

#[test]
fn status_and_doctor_say_what_is_enforced() {
    let server = Server::start("status");
    let status = server.keyless(["status"]).ok();
    assert!(status.contains("enforced"), "{status}");
    // The key file stands in for a person, so it is warned of.
    assert!(status.contains("key file"), "{status}");
    let doctor = server.keyless(["doctor"]);
    assert!(doctor.said().contains("enforced"), "{}", doctor.said());
}

#[test]
fn the_recovery_key_proves_itself_and_a_wrong_one_does_not() {
    let server = Server::start("recover");
    let words = server.first_words();
    let is_key = |word: &&str| {
        word.contains('-') && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-')
    };
    let key = words.split_whitespace().filter(is_key).max_by_key(|word| word.len()).unwrap_or_default();
    assert!(key.len() >= 52, "256 bits take 52 letters of 5 bits: {words}");
    let _said = server.keyless_with(["recover"], &format!("{key}\n")).ok();
    let wrong = key.replacen(|c: char| c.is_ascii_digit(), "Z", 1);
    let ended = server.keyless_with(["recover"], &format!("{wrong}\n"));
    assert_ne!(ended.code, Some(0), "{}", ended.said());
}

/// A secret by a name of which a letter is another now would not be there any more, and nobody would say why.
#[test]
fn a_changed_letter_of_the_store_is_found() {
    let mut server = Server::start("verify");
    server.vault_with("shop", "letters-of-a-name", "s3cret");
    let held = server.keyless(["verify"]);
    assert!(held.code == Some(1) && held.said().contains("Stop it first"), "{}", held.said());
    assert!(server.stop().success());
    let said = server.keyless(["verify"]).ok();
    assert!(said.contains("ok the store") && said.contains("chain unbroken"), "{said}");
    let file = server.data().join("keyless.redb");
    let whole = std::fs::read(&file).unwrap();
    let mut changed = whole.clone();
    let name = b"letters-of-a-name";
    let places: Vec<usize> =
        whole.windows(name.len()).enumerate().filter(|(_, text)| text == name).map(|(at, _)| at).collect();
    places.iter().for_each(|at| changed[*at] ^= 1);
    std::fs::write(&file, &changed).unwrap();
    let found = server.keyless(["verify"]);
    assert!(found.code == Some(1) && found.said().contains("put a backup back"), "{}", found.said());
    assert!(!places.is_empty() && std::fs::read(&file).unwrap() == changed, "who looks changes nothing");
    std::fs::write(&file, whole).unwrap();
    let _said = server.keyless(["verify", "-o", "json"]).ok();
}

#[test]
fn a_recovery_key_that_cannot_be_shown_makes_no_installation() {
    let mut server = Server::start("unseen");
    assert!(server.stop().success());
    let other = server.place().join("other");
    let up = |out: &str| {
        let mut command = server.command(["up"]);
        command.env("KEYLESS_DATA_DIR", &other);
        command.stdout(std::fs::File::options().write(true).open(out).unwrap());
        command.stderr(Stdio::piped()).spawn().unwrap()
    };
    let ended = wait::ended(up("/dev/full"), wait::LIMIT, "the server");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.code() == Some(1) && said.contains("the recovery key could not be shown"), "{said}");
    // Nobody sees what goes there: it is in a file.
    let mut up = up("/dev/null");
    wait::until("the first start", wait::LIMIT, || other.join("admin.sock").exists());
    e2e::server::signal(&up, rustix::process::Signal::TERM);
    let _ended = wait::for_end(&mut up, wait::LIMIT, "the server");
    let mode = std::fs::metadata(other.join("recovery.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// As a service manager's that has read that it is ready: it was lost where a file was applied, and the server was killed a minute and a half
/// later.
#[test]
fn a_stop_from_when_it_says_that_it_is_ready_is_one() {
    let mut server = Server::start("stop-early");
    assert!(server.stop().success());
    let stack = server.place().join("stack.yaml");
    std::fs::write(&stack, "tenant: keyless.localhost\n").unwrap();
    let apply = ["--apply", stack.to_str().unwrap()];
    for flags in [&[][..], &apply] {
        // A pipe that is full: whoever says something there waits.
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        let room = rustix::pipe::fcntl_setpipe_size(&writer, 4_096).unwrap();
        writer.write_all(&vec![b'\n'; room]).unwrap();
        let mut command = server.command(["up"]);
        let mut up = command.args(flags).stdout(writer).stderr(Stdio::null()).spawn().unwrap();
        drop(command);
        wait::until("the server to listen for signals", wait::LIMIT, || catches_sigterm(up.id()));
        e2e::server::signal(&up, rustix::process::Signal::TERM);
        let said = std::thread::spawn(move || {
            let mut said = String::new();
            reader.read_to_string(&mut said).map(|_| said)
        });
        let ended = wait::for_end(&mut up, std::time::Duration::from_secs(30), "the server");
        assert!(ended.success(), "{flags:?}: {ended}: {}", said.join().unwrap().unwrap());
    }
}

/// As `proc_pid_status(5)` tells it.
fn catches_sigterm(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    mask.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() & 1 << (15 - 1) != 0)
}

#[test]
fn a_changed_audit_line_is_found() {
    let mut server = Server::start("audit");
    server.vault_with("shop", "db", "s3cret");
    let _value = server.keyless(["secret", "get", "shop", "db"]).ok();
    let tail = server.keyless(["audit", "tail"]).ok();
    assert!(tail.contains("secret.get") && !tail.contains("s3cret"), "{tail}");
    let _verified = server.keyless(["audit", "verify"]).ok();
    assert!(server.stop().success());
    let file = server.data().join("audit/audit.jsonl");
    let whole = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let without = |index: usize| -> String {
        lines.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, line)| format!("{line}\n")).collect()
    };
    let swapped: String = [&lines[..1], &[lines[2], lines[1]], &lines[3..]]
        .concat()
        .iter()
        .map(|line| format!("{line}\n"))
        .collect();
    let cut: String = lines[..lines.len() - 1].iter().map(|line| format!("{line}\n")).collect();
    for (what, forged) in [
        ("changed", whole.replacen("secret.get", "secret.set", 1)),
        ("dropped", without(1)),
        ("reordered", swapped),
        ("cut", cut),
    ] {
        std::fs::write(&file, forged).unwrap();
        let ended = server.keyless(["audit", "verify"]);
        assert_ne!(ended.code, Some(0), "a line was {what}: {}", ended.said());
    }
    std::fs::write(&file, whole).unwrap();
    let _verified = server.keyless(["audit", "verify"]).ok();
}
