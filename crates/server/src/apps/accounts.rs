//! Which block of accounts is this installation's: claimed on the machine, so that two installations of root's never give the same account.
//!
//! A claim is a file named by the block, which says whose it is, and is written again at each first use in a server's life. An installation
//! that was moved keeps its block; a copy of one gets another. A block is another's only when nobody can come back to it.

use domain::limits;
use kernel::files::write_private;
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Where claims are, for root's installations on this machine.
pub(crate) const CLAIMS: &str = "/var/lib/keyless-accounts";
/// How long other installations may be claiming. Ours: each reads and writes one small file, and many may begin at the boot of a busy machine.
const LOCK_TIME_MAX: Duration = Duration::from_secs(10);
const LOCK_INTERVAL: Duration = Duration::from_millis(5);
/// How long a claim is kept for an installation that is not where it was: its disk may be away. Ours.
const AWAY_TIME_MAX: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// What was in one of these was made to be thrown away.
const THROWN_AWAY: [&str; 2] = ["/tmp", "/var/tmp"];

/// Claims a block, or finds the one that was claimed. `store` is the file that is there as long as the installation is.
pub(crate) fn claim(claims: &Path, installation: &str, store: &Path, now: SystemTime) -> io::Result<u32> {
    let own = format!("{installation}\n{}\n", store.display());
    let first = crypt::sha256(&own).to_string();
    let first = u32::from_str_radix(first.get(..6).unwrap_or_default(), 16).unwrap_or_default();
    // First all of them for one that is ours already: those before it may have become free since.
    let blocks = || (0..limits::ACCOUNT_BLOCKS).map(|step| (first + step) % limits::ACCOUNT_BLOCKS);
    let path = |block: u32| claims.join(block.to_string());
    let claimed = |block: u32| Claimed::read(&path(block));
    let is_exactly =
        |block: &u32| claimed(*block).is_some_and(|it| it.is_of(installation) && it.store == store);
    // One that was moved is still the same; one that is also where it was is another.
    let is_moved =
        |block: &u32| claimed(*block).is_some_and(|it| it.is_of(installation) && !it.store.exists());
    let is_free = |block: &u32| match claimed(*block) {
        Some(claimed) => claimed.is_given_up(now),
        None => is_nobodys(&path(*block)),
    };
    if let Some(block) = blocks().find(is_exactly) {
        // Nothing that is needed is written: the disk may be full.
        let _as_new = fs::File::open(path(block)).and_then(|file| file.set_modified(now));
        return Ok(block);
    }
    fs::create_dir_all(claims)?;
    let _lock = lock(claims)?;
    let found =
        blocks().find(is_exactly).or_else(|| blocks().find(is_moved)).or_else(|| blocks().find(is_free));
    let block = found.ok_or_else(|| io::Error::other("all blocks of accounts are claimed"))?;
    write_private(&path(block), own.as_bytes()).map_err(io::Error::other)?;
    Ok(block)
}

/// Is there no claim, or one that a crash has cut off before it was good for anything?
fn is_nobodys(path: &Path) -> bool {
    fs::read_to_string(path).map_or_else(|error| error.kind() == io::ErrorKind::NotFound, |_cut_off| true)
}

/// What a claim says.
struct Claimed {
    installation: String,
    store: PathBuf,
    written: SystemTime,
}

impl Claimed {
    /// None if there is none that can be read.
    fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let (installation, store) = text.trim_end_matches('\n').split_once('\n')?;
        let written = fs::metadata(path).and_then(|metadata| metadata.modified()).ok()?;
        Some(Self { installation: installation.to_owned(), store: store.into(), written })
    }

    fn is_of(&self, installation: &str) -> bool {
        self.installation == installation
    }

    /// Will nobody come back to it?
    fn is_given_up(&self, now: SystemTime) -> bool {
        let is_old = now.duration_since(self.written).is_ok_and(|age| age > AWAY_TIME_MAX);
        !self.store.exists() && (is_old || THROWN_AWAY.iter().any(|folder| self.store.starts_with(folder)))
    }
}

fn lock(claims: &Path) -> io::Result<kernel::files::Lock> {
    let until = std::time::Instant::now() + LOCK_TIME_MAX;
    loop {
        match kernel::files::lock_exclusive(claims) {
            Ok(lock) => return Ok(lock),
            Err(kernel::KernelError::Locked { .. }) if std::time::Instant::now() < until => {
                std::thread::sleep(LOCK_INTERVAL);
            }
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_installation_has_a_block_and_keeps_it() {
        let folder = std::env::temp_dir().join(format!("keyless-claims-{}", std::process::id()));
        let (claims, store) = (folder.join("claims"), folder.join("store"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(&store, "").unwrap();
        let block = |name: &str, store: &Path| {
            claim(&claims, name, store, SystemTime::UNIX_EPOCH + AWAY_TIME_MAX).unwrap()
        };
        let names: Vec<String> = (0..60).map(|number| format!("installation {number}")).collect();
        // At a time, as services start at boot.
        let first: Vec<u32> = std::thread::scope(|scope| {
            let claiming: Vec<_> = names.iter().map(|name| scope.spawn(|| block(name, &store))).collect();
            claiming.into_iter().map(|claimed| claimed.join().unwrap()).collect()
        });
        assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), names.len(), "no two have the same");
        assert!(first.iter().all(|block| *block < limits::ACCOUNT_BLOCKS));
        let again: Vec<u32> = names.iter().map(|name| block(name, &store)).collect();
        assert_eq!(again, first, "also after a restart");
        // A copy of a data directory is another installation; one that was moved is the same.
        let copy = folder.join("copy");
        fs::write(&copy, "").unwrap();
        let second = block(&names[0], &copy);
        assert_ne!(second, first[0]);
        assert_eq!((block(&names[0], &store), block(&names[0], &copy)), (first[0], second));
        fs::rename(&copy, folder.join("moved")).unwrap();
        assert_eq!(block(&names[0], &folder.join("moved")), second);
        let cut_off = claims.join("cut-off");
        fs::write(&cut_off, "installation").unwrap();
        assert!(is_nobodys(&cut_off) && is_nobodys(&claims.join("none")) && !is_nobodys(&claims));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_claim_is_kept_for_whoever_may_come_back() {
        let written = SystemTime::UNIX_EPOCH;
        let claimed = |store: &str| Claimed { installation: "one".to_owned(), store: store.into(), written };
        let day = Duration::from_secs(24 * 60 * 60);
        for (store, days, is_given_up) in [
            ("/srv/nowhere/store", 0, false),
            ("/srv/nowhere/store", 89, false),
            ("/srv/nowhere/store", 91, true),
            // It is there: no time gives it up.
            ("/proc/self/exe", 1_000, false),
            ("/tmp/nowhere/store", 0, true),
            ("/tmpfiles/nowhere/store", 0, false),
        ] {
            assert_eq!(claimed(store).is_given_up(written + day * days), is_given_up, "{store}, {days}");
        }
    }
}
