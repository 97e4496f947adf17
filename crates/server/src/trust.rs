//! The files by which programs come to trust our certificates and find our names, in a place that apps of any user can read.
//!
//! Owns: the authority's certificate, the bundle (the system's roots and ours), the JVM's truststore, and the hosts file that
//! `keyless run` binds over `/etc/hosts`. Nothing here is secret. Owns not: which variable names which file (`host::inject`).
//! Decision: ADR 0004. The bundle keeps the system's roots, since most runtimes read it *instead of* those.

use crate::{data::Layout, error::StartError};
use domain::HostNames;
use host::TrustFiles;
use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io,
    net::IpAddr,
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// Where systems keep their roots in one file: Debian, Fedora, older Red Hat, SUSE, Alpine and BSDs.
const SYSTEM_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
const BUNDLE: &str = "bundle.pem";
const ROOT: &str = "root.pem";
const TRUSTSTORE: &str = "truststore.p12";
const SYSTEM_HOSTS: &str = "/etc/hosts";
/// Java wants a truststore to have a password; this one protects nothing.
const TRUSTSTORE_PASSWORD: &str = "changeit";
const MARK: &str = "# Names of Keyless, for programs under `keyless run`.";

/// The public files of an installation.
#[derive(Debug)]
pub struct Public {
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
        let mut bundle = system_roots();
        bundle.push_str(authority_pem);
        let (bundle_file, truststore_file) = (own.join(BUNDLE), own.join(TRUSTSTORE));
        // Making the truststore takes longer than all else here, so only when the bundle is another.
        if replace(&bundle_file, bundle.as_bytes())? || !truststore_file.exists() {
            replace(&truststore_file, &crypt::pkcs12_truststore(&bundle, TRUSTSTORE_PASSWORD)?)?;
        }
        replace(&own.join(ROOT), authority_pem.as_bytes())?;
        let folder = if kernel::is_root() { open_to_all(layout, &own)? } else { own.clone() };
        let fixed =
            [names.domain().to_owned(), names.login_host(), names.graph_host(), names.vault_parent_host()];
        let hosts =
            Hosts::open(folder.join("hosts"), reachable(listen), &fixed, vault_hosts.into_iter().collect())?;
        Ok(Self { is_copy: folder != own, folder, hosts })
    }

    /// Removes what is outside of the data directory; a next start makes it again. Only when no program uses it any more.
    pub fn remove_copy(&self) {
        if self.is_copy {
            let _best_effort = fs::remove_dir_all(&self.folder);
        }
    }

    /// The files as apps are told them.
    pub fn trust_files(&self) -> TrustFiles {
        TrustFiles {
            bundle: self.folder.join(BUNDLE),
            root: self.folder.join(ROOT),
            truststore: self.folder.join(TRUSTSTORE),
            truststore_password: TRUSTSTORE_PASSWORD.to_owned(),
        }
    }

    /// The hosts file.
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }
}

/// The hosts file. It is only ever written in place: running programs have this very file bound over their `/etc/hosts`.
#[derive(Debug)]
pub struct Hosts {
    path: PathBuf,
    addresses: Vec<IpAddr>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    names: BTreeSet<String>,
}

impl Hosts {
    fn open(
        path: PathBuf,
        addresses: Vec<IpAddr>,
        fixed: &[String],
        vaults: BTreeSet<String>,
    ) -> Result<Self, StartError> {
        let fail = |source| StartError::File { path: path.clone(), source };
        let mut text = fs::read_to_string(SYSTEM_HOSTS).unwrap_or_default();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(MARK);
        text.push('\n');
        fixed.iter().chain(&vaults).for_each(|name| text.push_str(&lines(name, &addresses)));
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
        Ok(Self { path, addresses, state: Mutex::new(State { file, names: vaults }) })
    }

    /// Its place.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Has these names of vaults and apps and of no others; running programs see it from now on.
    ///
    /// # Errors
    /// Whatever writing said.
    pub fn set_names(&self, names: impl IntoIterator<Item = String>) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let names: BTreeSet<String> = names.into_iter().collect();
        for name in state.names.difference(&names).cloned().collect::<Vec<_>>() {
            self.strike_out(&state.file, &name)?;
            state.names.remove(&name);
        }
        for name in names {
            if !state.names.contains(&name) {
                let length = state.file.metadata()?.len();
                state.file.write_all_at(lines(&name, &self.addresses).as_bytes(), length)?;
                state.names.insert(name);
            }
        }
        Ok(())
    }

    /// Makes a name's lines comments of the same length: whoever is reading the file at this moment finds all others where they were.
    /// The next start writes it anew.
    fn strike_out(&self, file: &File, name: &str) -> io::Result<()> {
        let text = fs::read(&self.path)?;
        let wanted = lines(name, &self.addresses);
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
fn reachable(listen: &[IpAddr]) -> Vec<IpAddr> {
    use std::net::{Ipv4Addr, Ipv6Addr};
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
    for file in [BUNDLE, ROOT, TRUSTSTORE] {
        let from = own.join(file);
        let content = fs::read(&from).map_err(|source| StartError::File { path: from, source })?;
        replace(&folder.join(file), &content)?;
    }
    Ok(folder)
}

/// Makes the folder, or makes sure that it is a folder, not a link, and that nobody else may write there.
fn ours(folder: &Path) -> io::Result<()> {
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

/// Replaces a file as a whole if its content is another. Answers whether it was.
fn replace(path: &Path, content: &[u8]) -> Result<bool, StartError> {
    if fs::read(path).is_ok_and(|known| known == content) {
        return Ok(false);
    }
    kernel::files::write_public(path, content).map(|()| true).map_err(StartError::Kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_change_in_place() {
        let folder = std::env::temp_dir().join(format!("keyless-hosts-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let open = |names: &[&str]| {
            let addresses = reachable(&["0.0.0.0".parse().unwrap(), "::1".parse().unwrap()]);
            let vaults = names.iter().map(|name| (*name).to_owned()).collect();
            Hosts::open(folder.join("hosts"), addresses, &["login.x".to_owned()], vaults).unwrap()
        };
        let hosts = open(&[]);
        let inode = fs::metadata(hosts.path()).unwrap().ino();
        let set = |names: &[&str]| {
            hosts.set_names(names.iter().map(|name| (*name).to_owned())).unwrap();
            fs::read_to_string(hosts.path()).unwrap()
        };
        let text = set(&["shop.vault.x"]);
        assert!(
            text.ends_with("127.0.0.1\tlogin.x\n::1\tlogin.x\n127.0.0.1\tshop.vault.x\n::1\tshop.vault.x\n"),
            "{text}"
        );
        assert_eq!(set(&["shop.vault.x"]), text);
        // A deleted vault's lines are struck out where they are: no other line moves.
        let struck = text.replace("127.0.0.1\tshop", "#27.0.0.1\tshop").replace("::1\tshop", "#:1\tshop");
        assert_eq!(set(&[]), struck);
        let again = format!("{struck}127.0.0.1\tshop.vault.x\n::1\tshop.vault.x\n");
        assert_eq!(set(&["shop.vault.x"]), again, "a recovered one is found again");
        // A restart writes only what counts, in the same file.
        let hosts = open(&[]);
        assert_eq!(fs::metadata(hosts.path()).unwrap().ino(), inode);
        assert!(!fs::read_to_string(hosts.path()).unwrap().contains("shop"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_bundle_holds_certificates_only() {
        let roots = system_roots();
        assert_eq!(roots.matches("-----BEGIN").count(), roots.matches("-----END CERTIFICATE-----\n").count());
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
