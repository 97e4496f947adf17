//! The files by which programs come to trust our certificates and find our names, in a place that apps of any user can read.
//!
//! Owns: the authority's certificate, the bundle (the system's roots and ours), the JVM's truststore, and the hosts file that
//! `keyless run` binds over `/etc/hosts`. Nothing here is secret. Owns not: which variable names which file (`host::inject`).
//! Decision: ADR 0004. The bundle keeps the system's roots, since most runtimes read it *instead of* those.

use crate::{data::Layout, error::StartError};
use domain::{HostNames, HostRole, hosts};
use host::TrustFiles;
use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io,
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Where systems keep their roots in one file: Debian, Fedora, older Red Hat, SUSE, Alpine and BSDs.
const SYSTEM_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// The file with the system's roots and ours, beside the hosts file.
pub const BUNDLE: &str = "bundle.pem";
const ROOT: &str = "root.pem";
const TRUSTSTORE: &str = "truststore.p12";
const FILES: [&str; 3] = [BUNDLE, ROOT, TRUSTSTORE];
const SYSTEM_HOSTS: &str = "/etc/hosts";
/// Java wants a truststore to have a password; this one protects nothing.
const TRUSTSTORE_PASSWORD: &str = "changeit";
const MARK: &str = "# Names of Keyless, for programs under `keyless run`.";

/// The public files of an installation.
#[derive(Debug)]
pub struct Public {
    /// In the data directory.
    own: PathBuf,
    authority_pem: String,
    folder: PathBuf,
    hosts: Hosts,
    /// Whether the folder is a copy outside of the data directory.
    is_copy: bool,
}

impl Public {
    /// Writes what is missing or has changed.
    ///
    /// # Errors
    /// [`StartError::File`]; cryptography's if our certificate is not one.
    pub fn write(
        layout: &Layout,
        authority_pem: &str,
        names: &HostNames,
        listen: &[IpAddr],
        vault_hosts: impl IntoIterator<Item = String>,
    ) -> Result<Self, StartError> {
        let own = layout.root().join("public");
        ours(&own).map_err(|source| StartError::File { path: own.clone(), source })?;
        replace(&layout.authority(), authority_pem.as_bytes())?;
        write_trust(&own, authority_pem)?;
        let folder = if kernel::is_root() { open_to_all(layout, &own)? } else { own.clone() };
        let leads = Leads { names: names.clone(), addresses: reachable(listen), azure: None };
        let hosts = Hosts::open(folder.join("hosts"), leads, vault_hosts.into_iter().collect())?;
        Ok(Self { is_copy: folder != own, own, authority_pem: authority_pem.to_owned(), folder, hosts })
    }

    /// Makes again what somebody has removed, as what clears up `/run` or `/tmp` does: programs that are started next are told these places.
    /// Was anything gone? Those that run on have the hosts file of before, and find no names in it that are new.
    ///
    /// # Errors
    /// [`StartError::File`], and the kernel's.
    pub(crate) fn restore(&self) -> Result<bool, StartError> {
        let is_there = |folder: &Path| FILES.iter().all(|file| folder.join(file).exists());
        if is_there(&self.own) && is_there(&self.folder) && self.hosts.is_there() {
            return Ok(false);
        }
        for folder in [&self.own, &self.folder] {
            ours(folder).map_err(|source| StartError::File { path: folder.clone(), source })?;
        }
        write_trust(&self.own, &self.authority_pem)?;
        if self.is_copy {
            copy(&self.own, &self.folder)?;
        }
        self.hosts.restore()?;
        Ok(true)
    }

    /// Removes what is outside of the data directory; a next start makes it again. Only when no program uses it any more.
    pub fn remove_copy(&self) {
        if self.is_copy {
            let _best_effort = fs::remove_dir_all(&self.folder);
        }
    }

    /// The files as apps are told them.
    pub fn trust_files(&self) -> TrustFiles {
        trust_files(&self.folder)
    }

    /// Where they are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The hosts file.
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }
}

/// Writes what runtimes trust by into a folder, as far as it is not there: the system's roots and these, and these alone. One at a time.
pub(crate) fn write_trust(folder: &Path, roots_pem: &str) -> Result<(), StartError> {
    let mut bundle = system_roots();
    bundle.push_str(roots_pem);
    let (bundle_file, truststore_file) = (folder.join(BUNDLE), folder.join(TRUSTSTORE));
    // Making the truststore takes longer than all else here, so only when the bundle is another. The bundle comes last: whoever finds it as
    // it should be knows that the truststore is, too.
    let is_known = fs::read(&bundle_file).is_ok_and(|known| known == bundle.as_bytes());
    if !is_known || !truststore_file.exists() {
        replace(&truststore_file, &crypt::pkcs12_truststore(&bundle, TRUSTSTORE_PASSWORD)?)?;
        replace(&bundle_file, bundle.as_bytes())?;
    }
    replace(&folder.join(ROOT), roots_pem.as_bytes())
}

/// Those of a folder, as apps are told them.
pub(crate) fn trust_files(folder: &Path) -> TrustFiles {
    TrustFiles {
        bundle: folder.join(BUNDLE),
        root: folder.join(ROOT),
        truststore: folder.join(TRUSTSTORE),
        truststore_password: TRUSTSTORE_PASSWORD.to_owned(),
    }
}

/// What hosts files are to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamesChange {
    /// This name of a vault or an app, or not; the others stay.
    One {
        /// It.
        name: String,
        /// Is there such a vault or app?
        is_there: bool,
    },
    /// These names of vaults and apps and no others.
    All(Vec<String>),
}

/// The hosts file. It is only ever written in place: running programs have this very file bound over their `/etc/hosts`.
#[derive(Debug)]
pub struct Hosts {
    path: PathBuf,
    leads: Leads,
    state: Mutex<State>,
}

/// Which names lead where.
#[derive(Clone, Debug)]
struct Leads {
    names: HostNames,
    addresses: Vec<IpAddr>,
    /// Where the public cloud's names for the same lead, for a program in shadow mode.
    azure: Option<Ipv4Addr>,
}

#[derive(Debug)]
struct State {
    file: File,
    names: BTreeSet<String>,
}

impl Leads {
    /// The system's hosts file without names that are ours to lead: an address that it has for one would be a second one for it.
    fn others(&self, system: &str) -> String {
        system.lines().map(|line| self.without_ours(line)).collect()
    }

    fn without_ours(&self, line: &str) -> String {
        let said = line.split('#').next().unwrap_or_default();
        let mut words = said.split_ascii_whitespace();
        let Some(address) = words.next() else { return format!("{line}\n") };
        let (ours, others): (Vec<_>, Vec<_>) = words.partition(|name| self.is_ours(name));
        match (ours.is_empty(), others.is_empty()) {
            (true, _) => format!("{line}\n"),
            (false, true) => String::new(),
            (false, false) => format!("{address}\t{}\n", others.join(" ")),
        }
    }

    /// Is this a name of ours, or of a vault or an app that may be made any time?
    fn is_ours(&self, name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name);
        let is_of = |names: &HostNames| names.role(name) != HostRole::Unknown;
        is_of(&self.names) || (self.azure.is_some() && is_of(HostNames::azure()))
    }

    /// The lines of the names that are always there.
    fn always(&self) -> String {
        let names = &self.names;
        let own = [
            names.domain().to_owned(),
            names.login_host(),
            names.graph_host(),
            names.management_host(),
            names.vault_parent_host(),
        ];
        let own = own.iter().map(|name| lines(name, &self.addresses));
        let azure = self.azure.iter().flat_map(|address| {
            let names = hosts::AZURE_LOGIN_HOSTS.into_iter().chain([hosts::AZURE_GRAPH_HOST]);
            names.map(|name| lines(name, &in_both_families(*address)))
        });
        own.chain(azure).collect()
    }

    /// The lines of a vault or an app. An app is deployed to a name of its own.
    fn lines_of(&self, name: &str) -> String {
        let mut text = lines(name, &self.addresses);
        match (self.names.role(name), self.azure) {
            (HostRole::App(app), _) => text.push_str(&lines(&self.names.scm_host(&app), &self.addresses)),
            (HostRole::Vault(vault), Some(address)) => {
                text.push_str(&lines(&HostNames::azure().vault_host(&vault), &in_both_families(address)));
            }
            _ => {}
        }
        text
    }
}

/// An address, and the same as an IPv6 one: a name that has no line of a family is looked up outside when it is asked for in that family.
fn in_both_families(address: Ipv4Addr) -> [IpAddr; 2] {
    [address.into(), address.to_ipv6_mapped().into()]
}

impl Hosts {
    fn open(path: PathBuf, leads: Leads, names: BTreeSet<String>) -> Result<Self, StartError> {
        let fail = |source| StartError::File { path: path.clone(), source };
        let mut text = leads.others(&fs::read_to_string(SYSTEM_HOSTS).unwrap_or_default());
        text.push_str(MARK);
        text.push('\n');
        text.push_str(&leads.always());
        names.iter().for_each(|name| text.push_str(&leads.lines_of(name)));
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(&path)
            .map_err(fail)?;
        file.set_permissions(fs::Permissions::from_mode(0o644)).map_err(fail)?;
        // One write, then the cut: a reader at this very moment sees old or new lines, never none.
        if fs::read(&path).map_err(fail)? != text.as_bytes() {
            file.write_all_at(text.as_bytes(), 0)
                .and_then(|()| file.set_len(text.len() as u64))
                .map_err(fail)?;
        }
        Ok(Self { path, leads, state: Mutex::new(State { file, names }) })
    }

    /// Does its place lead to it still?
    fn is_there(&self) -> bool {
        let file = self.state().file.metadata();
        matches!((file, fs::metadata(&self.path)), (Ok(file), Ok(found)) if file.ino() == found.ino() && file.dev() == found.dev())
    }

    /// Makes it again where it is not.
    fn restore(&self) -> Result<(), StartError> {
        if !self.is_there() {
            let names = self.state().names.clone();
            let again = Self::open(self.path.clone(), self.leads.clone(), names)?;
            let again = again.state.into_inner().unwrap_or_else(PoisonError::into_inner);
            *self.state() = again;
        }
        Ok(())
    }

    /// Its place.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Another file with the same names, in which the public cloud's lead to this address besides.
    pub(crate) fn shadowed(&self, path: PathBuf, address: Ipv4Addr) -> Result<Self, StartError> {
        let names = self.state().names.clone();
        Self::open(path, Leads { azure: Some(address), ..self.leads.clone() }, names)
    }

    /// Has these names of vaults and apps; running programs see it from now on.
    ///
    /// # Errors
    /// Whatever writing said.
    pub fn set_names(&self, change: &NamesChange) -> io::Result<()> {
        let mut state = self.state();
        match change {
            NamesChange::One { name, is_there } => self.set_name(&mut state, name, *is_there),
            NamesChange::All(names) => {
                let wanted: BTreeSet<&String> = names.iter().collect();
                let gone = state.names.iter().filter(|name| !wanted.contains(name));
                for name in gone.cloned().collect::<Vec<_>>() {
                    self.set_name(&mut state, &name, false)?;
                }
                wanted.into_iter().try_for_each(|name| self.set_name(&mut state, name, true))
            }
        }
    }

    fn set_name(&self, state: &mut State, name: &str, is_there: bool) -> io::Result<()> {
        match (state.names.contains(name), is_there) {
            (true, false) => {
                self.strike_out(&state.file, name)?;
                state.names.remove(name);
            }
            (false, true) => {
                let length = state.file.metadata()?.len();
                state.file.write_all_at(self.leads.lines_of(name).as_bytes(), length)?;
                state.names.insert(name.to_owned());
            }
            (true, true) | (false, false) => {}
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a name's lines comments of the same length: whoever is reading the file at this moment finds all others where they were.
    /// The next start writes it anew.
    fn strike_out(&self, file: &File, name: &str) -> io::Result<()> {
        let text = fs::read(&self.path)?;
        let wanted = self.leads.lines_of(name);
        let mut at = 0_u64;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            if wanted.split_inclusive('\n').any(|wanted| wanted.as_bytes() == line) {
                file.write_all_at(b"#", at)?;
            }
            at += line.len() as u64;
        }
        Ok(())
    }
}

fn lines(name: &str, addresses: &[IpAddr]) -> String {
    addresses.iter().map(|address| format!("{address}\t{name}\n")).collect()
}

/// What clients on this machine connect to: loopback for an unspecified address.
pub(crate) fn reachable(listen: &[IpAddr]) -> Vec<IpAddr> {
    use std::net::Ipv6Addr;
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in listen {
        let address = match address {
            IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            other => *other,
        };
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

/// The certificates that this machine trusts, PEM; other blocks and comments are left out. Empty if it has none.
#[expect(
    clippy::disallowed_methods,
    reason = "what OpenSSL reads instead of the system's file, if an operator chose one"
)]
pub(crate) fn system_roots() -> String {
    let chosen =
        std::env::var_os("SSL_CERT_FILE").filter(|value: &OsString| !value.is_empty()).map(PathBuf::from);
    let usual = SYSTEM_BUNDLES.iter().map(PathBuf::from);
    let text =
        chosen.into_iter().chain(usual).find_map(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----\n");
    let blocks = text.split(begin).skip(1).filter_map(|block| block.split_once("-----END CERTIFICATE-----"));
    blocks.map(|(body, _)| format!("{begin}{body}{end}")).collect()
}

/// A copy of the files where apps of any user can read and only root can write: root's data directory is closed to all others, and
/// root's apps may be other users.
fn open_to_all(layout: &Layout, own: &Path) -> Result<PathBuf, StartError> {
    let hash = crypt::sha256(layout.root().as_os_str().as_encoded_bytes()).to_string();
    let name = format!("keyless-{}", hash.get(..8).unwrap_or(&hash));
    let (run, temporary) = (Path::new("/run").join(&name), std::env::temp_dir().join(&name));
    let folder = ours(&run)
        .map(|()| run)
        .or_else(|_| ours(&temporary).map(|()| temporary.clone()))
        .map_err(|source| StartError::File { path: temporary, source })?;
    copy(own, &folder)?;
    Ok(folder)
}

fn copy(own: &Path, folder: &Path) -> Result<(), StartError> {
    for file in FILES {
        let from = own.join(file);
        let content = fs::read(&from).map_err(|source| StartError::File { path: from, source })?;
        replace(&folder.join(file), &content)?;
    }
    Ok(())
}

/// Makes the folder, or makes sure that it is a folder, not a link, and that nobody else may write there.
pub(crate) fn ours(folder: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o755).create(folder) {
        Ok(()) => fs::set_permissions(folder, fs::Permissions::from_mode(0o755)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let metadata = fs::symlink_metadata(folder)?;
            let is_ours = metadata.is_dir()
                && metadata.uid() == kernel::effective_uid()
                && metadata.mode() & 0o022 == 0;
            if is_ours {
                Ok(())
            } else {
                Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is there, and not ours alone"))
            }
        }
        Err(error) => Err(error),
    }
}

/// Replaces a file as a whole if its content is another.
fn replace(path: &Path, content: &[u8]) -> Result<(), StartError> {
    if fs::read(path).is_ok_and(|known| known == content) {
        // An earlier version may have kept it from everybody else.
        let open = fs::set_permissions(path, fs::Permissions::from_mode(0o644));
        return open.map_err(|source| StartError::File { path: path.to_owned(), source });
    }
    kernel::files::write_public(path, content).map_err(StartError::Kernel)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::DomainName;

    fn leads(listen: &[&str]) -> Leads {
        let listen: Vec<IpAddr> = listen.iter().map(|address| address.parse().unwrap()).collect();
        let names = HostNames::new(&DomainName::parse("x.example").unwrap(), 8443);
        Leads { names, addresses: reachable(&listen), azure: None }
    }

    #[test]
    fn files_that_somebody_has_removed_are_made_again_with_their_names() {
        let place = std::env::temp_dir().join(format!("keyless-restored-{}", std::process::id()));
        fs::create_dir_all(&place).unwrap();
        let authority =
            crypt::Authority::create("x", domain::Timestamp::from_seconds(1_764_000_000)).unwrap();
        let (names, known) = (leads(&[]).names, "shop.vault.x.example".to_owned());
        let listen = ["127.0.0.1".parse().unwrap()];
        let pem = authority.certificate_pem();
        let public = Public::write(&Layout::of(&place), pem, &names, &listen, [known.clone()]).unwrap();
        assert!(!public.restore().unwrap(), "all is there");
        let text = fs::read_to_string(public.hosts().path()).unwrap();
        for gone in [public.folder().to_owned(), place.join("public")] {
            fs::remove_dir_all(&gone).unwrap();
            assert!(public.restore().unwrap() && !public.restore().unwrap(), "{}", gone.display());
            let files = public.trust_files();
            assert!(files.bundle.exists() && files.root.exists() && files.truststore.exists());
            assert_eq!(fs::read_to_string(public.hosts().path()).unwrap(), text);
        }
        // What changes from now on is in the file that programs are told.
        let gone = NamesChange::One { name: known, is_there: false };
        public.hosts().set_names(&gone).unwrap();
        assert_ne!(fs::read_to_string(public.hosts().path()).unwrap(), text);
        public.remove_copy();
        fs::remove_dir_all(place).unwrap();
    }

    #[test]
    fn hosts_change_in_place() {
        let folder = std::env::temp_dir().join(format!("keyless-hosts-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let open = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            Hosts::open(folder.join("hosts"), leads(&["0.0.0.0", "::1"]), names).unwrap()
        };
        let hosts = open(&[]);
        let inode = fs::metadata(hosts.path()).unwrap().ino();
        let set = |names: &[&str]| {
            let all = NamesChange::All(names.iter().map(|name| (*name).to_owned()).collect());
            hosts.set_names(&all).unwrap();
            fs::read_to_string(hosts.path()).unwrap()
        };
        let text = set(&["shop.vault.x.example"]);
        let ends = "127.0.0.1\tvault.x.example\n::1\tvault.x.example\n127.0.0.1\tshop.vault.x.example\n::1\tshop.vault.x.example\n";
        assert!(text.ends_with(ends), "{text}");
        for line in [
            "127.0.0.1\tx.example\n",
            "::1\tlogin.x.example\n",
            "127.0.0.1\tgraph.x.example\n",
            "127.0.0.1\tmanagement.x.example\n",
        ] {
            assert!(text.contains(line), "{line} {text}");
        }
        assert_eq!(set(&["shop.vault.x.example"]), text);
        // A deleted vault's lines are struck out where they are: no other line moves.
        let struck = text.replace("127.0.0.1\tshop", "#27.0.0.1\tshop").replace("::1\tshop", "#:1\tshop");
        assert_eq!(set(&[]), struck);
        let again = format!("{struck}127.0.0.1\tshop.vault.x.example\n::1\tshop.vault.x.example\n");
        assert_eq!(set(&["shop.vault.x.example"]), again, "a recovered one is found again");
        // One name comes and goes, and says nothing of the others.
        let one = |name: &str, is_there| {
            hosts.set_names(&NamesChange::One { name: name.to_owned(), is_there }).unwrap();
            fs::read_to_string(hosts.path()).unwrap()
        };
        assert_eq!(one("bank.vault.x.example", false), again, "it never was there");
        let two = format!("{again}127.0.0.1\tbank.vault.x.example\n::1\tbank.vault.x.example\n");
        assert_eq!(one("bank.vault.x.example", true), two);
        assert_eq!(one("bank.vault.x.example", true), two, "it is there");
        let struck = two.replace("127.0.0.1\tbank", "#27.0.0.1\tbank").replace("::1\tbank", "#:1\tbank");
        assert_eq!(one("bank.vault.x.example", false), struck);
        // An app is deployed to a name of its own, which comes and goes with it.
        let text = set(&["web.apps.x.example"]);
        assert!(
            text.contains("\n127.0.0.1\tweb.scm.apps.x.example\n::1\tweb.scm.apps.x.example\n"),
            "{text}"
        );
        assert!(!set(&[]).contains("\n127.0.0.1\tweb.scm"));
        // A restart writes only what counts, in the same file.
        let hosts = open(&[]);
        assert_eq!(fs::metadata(hosts.path()).unwrap().ino(), inode);
        assert!(!fs::read_to_string(hosts.path()).unwrap().contains("shop"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn azures_names_lead_to_a_door_in_the_file_of_its_program_only() {
        let folder = std::env::temp_dir().join(format!("keyless-shadow-hosts-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let both = names(&["shop.vault.x.example", "web.apps.x.example"]);
        let own = Hosts::open(folder.join("hosts"), leads(&["127.0.0.1"]), both).unwrap();
        let shadow = own.shadowed(folder.join("hosts-1"), "127.75.1.2".parse().unwrap()).unwrap();
        let read = |hosts: &Hosts| fs::read_to_string(hosts.path()).unwrap();
        assert!(!read(&own).contains("azure") && !read(&own).contains("microsoft"));
        for line in [
            "127.0.0.1\tlogin.x.example",
            "127.0.0.1\tshop.vault.x.example",
            "127.0.0.1\tweb.apps.x.example",
            "127.0.0.1\tweb.scm.apps.x.example",
            "127.75.1.2\tlogin.microsoftonline.com",
            "::ffff:127.75.1.2\tlogin.microsoftonline.com",
            "127.75.1.2\tsts.windows.net",
            "127.75.1.2\tgraph.microsoft.com",
            "127.75.1.2\tshop.vault.azure.net",
            "::ffff:127.75.1.2\tshop.vault.azure.net",
        ] {
            assert!(read(&shadow).lines().any(|found| found == line), "{line}: {}", read(&shadow));
        }
        assert_eq!(read(&shadow).matches("azure").count(), 2, "an app has no name there");
        shadow.set_names(&NamesChange::All(vec!["late.vault.x.example".to_owned()])).unwrap();
        let text = read(&shadow);
        let late = "127.75.1.2\tlate.vault.azure.net\n::ffff:127.75.1.2\tlate.vault.azure.net\n";
        assert!(text.ends_with(&format!("127.0.0.1\tlate.vault.x.example\n{late}")), "{text}");
        let struck = "#27.75.1.2\tshop.vault.azure.net\n#:ffff:127.75.1.2\tshop.vault.azure.net\n";
        assert!(text.contains(struck), "{text}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_systems_file_adds_no_address_to_a_name_of_ours() {
        let own = leads(&["127.0.0.1"]);
        let shadow = Leads { azure: Some(Ipv4Addr::new(127, 75, 1, 2)), ..own.clone() };
        let system = "# shop.vault.x.example was here\n127.0.0.1 localhost x.example\n\n10.0.0.5 shop.vault.azure.net\n\
                      10.0.0.6\tdb LOGIN.microsoftonline.com. db.internal # login\n10.0.0.7  shop.vault.x.example\n\
                      10.0.0.8 vault.azure.net a.b.vault.azure.net #\n10.0.0.9 Web.apps.x.example web";
        let plain = system
            .replace("10.0.0.7  shop.vault.x.example\n", "")
            .replace("10.0.0.9 Web.apps.x.example web", "10.0.0.9\tweb\n");
        assert_eq!(own.others(system), plain);
        let shadowed = plain
            .replace("10.0.0.5 shop.vault.azure.net\n", "")
            .replace("db LOGIN.microsoftonline.com. db.internal # login", "db db.internal");
        assert_eq!(shadow.others(system), shadowed);
        assert_eq!(own.others(""), "");
    }

    #[test]
    fn the_bundle_holds_certificates_only() {
        let roots = system_roots();
        assert_eq!(roots.matches("-----BEGIN").count(), roots.matches("-----END CERTIFICATE-----\n").count());
    }

    #[test]
    fn a_truststore_that_could_not_be_written_is_written_the_next_time() {
        let folder = std::env::temp_dir().join(format!("keyless-truststore-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let now = domain::Timestamp::from_seconds(1_764_000_000);
        let [one, other] = ["one", "other"].map(|name| crypt::Authority::create(name, now).unwrap());
        write_trust(&folder, one.certificate_pem()).unwrap();
        let truststore = || fs::read(folder.join(TRUSTSTORE)).unwrap();
        let before = truststore();
        // Where a file is written before it takes the place of the old one.
        let in_the_way = folder.join("truststore.p12.new");
        fs::create_dir(&in_the_way).unwrap();
        assert!(write_trust(&folder, other.certificate_pem()).is_err());
        assert_eq!(truststore(), before);
        fs::remove_dir(&in_the_way).unwrap();
        write_trust(&folder, other.certificate_pem()).unwrap();
        assert_ne!(truststore(), before);
        let after = truststore();
        write_trust(&folder, other.certificate_pem()).unwrap();
        assert_eq!(truststore(), after, "what is there is not made again");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_folder_that_others_may_write_is_not_ours() {
        let folder = std::env::temp_dir().join(format!("keyless-ours-{}", std::process::id()));
        assert!(ours(&folder).is_ok() && ours(&folder).is_ok());
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(ours(&folder).is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}
