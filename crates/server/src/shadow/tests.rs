//! Doors at ports that are free here, and files in a folder of the test's own.

use super::*;
use crate::{data::Layout, hands::Hands};
use crypt::SystemEntropy;
use domain::{DomainName, HostNames};
use std::time::Duration;
use store::Memory;

const NOW: Timestamp = Timestamp::from_seconds(1_764_000_000);

fn shadows(name: &str) -> (PathBuf, Shadows) {
    let folder = std::env::temp_dir().join(format!("keyless-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let authority = Authority::create("Keyless test root", NOW).unwrap();
    let authority_pem = authority.certificate_pem().to_owned();
    let names = HostNames::new(&DomainName::parse("x.example").unwrap(), 8443);
    let listen = ["127.0.0.1".parse().unwrap()];
    let known = ["shop.vault.x.example".to_owned()];
    let files = Public::write(&Layout::of(&folder), &authority_pem, &names, &listen, known).unwrap();
    let settings = ShadowSettings {
        store: Arc::new(Memory::new()),
        entropy: Arc::new(SystemEntropy),
        root: Arc::new(Key256::random(&SystemEntropy)),
        files: Arc::new(files),
        authority_pem,
        observer: Arc::new(Observer::new(None, None, Hands::default())),
        public: Vec::new(),
        runtime: Handle::current(),
    };
    (folder, Shadows::new(settings))
}

fn remove(folder: PathBuf, shadows: &Shadows) {
    shadows.files().remove_copy();
    fs::remove_dir_all(folder).unwrap();
}

/// A door as it is held, and what its listener and its connections hold.
fn door(shadows: &Shadows, last: u8) -> (WorkloadId, watch::Receiver<bool>) {
    let (id, (stop, stopping)) = (WorkloadId::random(&SystemEntropy), watch::channel(false));
    trust::ours(&shadows.folder()).unwrap();
    let hosts = shadows.hosts_file(id, Ipv4Addr::new(127, 75, 0, last)).unwrap();
    shadows.open().insert(id, Open { stop, hosts });
    (id, stopping)
}

#[tokio::test]
async fn each_workload_has_an_address_of_its_own_and_finds_it_again() {
    let [one, other] = [(); 2].map(|()| WorkloadId::random(&SystemEntropy));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    let (first, address) = find(one, None, port, &[]).unwrap();
    assert_eq!(address.octets()[..2], NETWORK);
    let (_second, another) = find(other, None, port, &[]).unwrap();
    assert_ne!(address, another);
    let fault = find(one, Some(address), port, &[]).unwrap_err();
    let there = format!("listen on {address}:{port}, which another program has");
    assert!(fault.why.contains(&there) && !fault.why.contains("all addresses"), "{fault:?}");
    let (_same, next) = find(one, None, port, &[]).unwrap();
    assert_ne!(address, next, "what is taken is passed over");
    drop(first);
    assert_eq!(find(one, Some(address), port, &[]).unwrap().1, address);
}

#[tokio::test]
async fn what_keeps_the_port_from_us_is_said() {
    let everywhere = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let at = everywhere.local_addr().unwrap();
    let port = at.port();
    let fault = find(WorkloadId::random(&SystemEntropy), None, port, &[]).unwrap_err();
    assert!(fault.why.contains("another program has on all addresses"), "{fault:?}");
    assert!(fault.mend.contains("ss -ltnp"), "{fault:?}");
    let elsewhere = SocketAddr::from(([127, 0, 0, 1], port));
    let fault = find(WorkloadId::random(&SystemEntropy), None, port, &[elsewhere]).unwrap_err();
    assert!(fault.why.contains("another program"), "{fault:?}");
    let fault = find(WorkloadId::random(&SystemEntropy), None, port, &[elsewhere, at]).unwrap_err();
    assert!(fault.why.contains("this server's own public listener has"), "{fault:?}");
    assert!(fault.mend.contains("`listen`"), "{fault:?}");
    let fault = refused(&io::ErrorKind::PermissionDenied.into(), PORT, &[], &[]);
    assert!(fault.mend.contains("net.ipv4.ip_unprivileged_port_start=443"), "{fault:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_programs_at_the_same_time_trust_the_same() {
    let (folder, shadows) = shadows("shadow-trust");
    let shadows = Arc::new(shadows);
    let all: Vec<_> = (0..8)
        .map(|_| {
            let shadows = shadows.clone();
            tokio::spawn(async move { shadows.trusted(NOW).await })
        })
        .collect();
    let mut roots = std::collections::BTreeSet::new();
    for one in all {
        let (authority, files) = one.await.unwrap().unwrap();
        let bundle = fs::read_to_string(files.bundle).unwrap();
        assert!(bundle.ends_with(authority.certificate_pem()));
        roots.insert(authority.certificate_pem().to_owned());
    }
    assert_eq!(roots.len(), 1);
    remove(folder, &shadows);
}

#[tokio::test]
async fn a_hosts_file_that_cannot_be_changed_keeps_no_other_from_it() {
    let (folder, shadows) = shadows("shadow-names");
    let doors: Vec<_> = (1..=3).map(|last| door(&shadows, last).0).collect();
    let path = |of: &WorkloadId| shadows.folder().join(format!("{HOSTS}{of}"));
    fs::remove_file(path(&doors[1])).unwrap();
    let changed = shadows.set_names(&NamesChange::All(vec!["late.vault.x.example".to_owned()]));
    assert_eq!(changed.unwrap_err().kind(), io::ErrorKind::NotFound);
    for file in [path(&doors[0]), path(&doors[2]), shadows.files().hosts().path().to_owned()] {
        let text = fs::read_to_string(file).unwrap();
        assert!(text.contains("\n127.0.0.1\tlate.vault.x.example\n"), "{text}");
        assert!(text.contains("\n#27.0.0.1\tshop.vault.x.example\n"), "{text}");
    }
    remove(folder, &shadows);
}

#[tokio::test]
async fn a_stop_waits_for_the_connections_of_doors() {
    let (folder, shadows) = shadows("shadow-stop");
    let [(_, one), (_, other)] = [door(&shadows, 1), door(&shadows, 2)];
    shadows.close_all();
    assert!(*one.borrow() && *other.borrow(), "both are told to end");
    drop(one);
    let mut drained = std::pin::pin!(shadows.drained());
    let soon = Duration::from_millis(50);
    assert!(tokio::time::timeout(soon, drained.as_mut()).await.is_err(), "one has a connection still");
    drop(other);
    assert!(tokio::time::timeout(Duration::from_secs(10), drained).await.is_ok());
    remove(folder, &shadows);
}
