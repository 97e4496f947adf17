//! Which block of accounts is this installation's: claimed on the machine, so that two installations of root's never give the same account.
//!
//! A claim is a file named by the block, which says whose it is. One of an installation that is no more is taken over.

use domain::limits;
use std::{
    fs, io,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// Where claims are, for root's installations on this machine.
pub(crate) const CLAIMS: &str = "/var/lib/keyless-accounts";
/// How long another installation may be claiming. Ours: it reads and writes one small file.
const LOCK_TIME_MAX: Duration = Duration::from_secs(2);
const LOCK_INTERVAL: Duration = Duration::from_millis(5);

/// Claims a block, or finds the one that was claimed. `store` is the file that is there as long as the installation is.
pub(crate) fn claim(claims: &Path, installation: &str, store: &Path) -> io::Result<u32> {
    fs::create_dir_all(claims)?;
    let _lock = lock(claims)?;
    let own = format!("{installation}\n{}\n", store.display());
    let first = crypt::sha256(&own).to_string();
    let first = u32::from_str_radix(first.get(..6).unwrap_or_default(), 16).unwrap_or_default();
    // First all of them for one that is ours already: those before it may have become free since.
    let blocks = || (0..limits::ACCOUNT_BLOCKS).map(|step| (first + step) % limits::ACCOUNT_BLOCKS);
    let path = |block: u32| claims.join(block.to_string());
    if let Some(block) = blocks().find(|block| fs::read_to_string(path(*block)).is_ok_and(|text| text == own))
    {
        return Ok(block);
    }
    let free = blocks().find(|block| is_free(&path(*block)));
    let block = free.ok_or_else(|| io::Error::other("all blocks of accounts are claimed"))?;
    write(&path(block), &own)?;
    Ok(block)
}

fn is_free(path: &Path) -> bool {
    match fs::read_to_string(path) {
        Ok(text) => text.lines().nth(1).is_none_or(|store| !Path::new(store).exists()),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn write(path: &PathBuf, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
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
        let gone = folder.join("gone");
        let block = |name: &str, store: &Path| claim(&claims, name, store).unwrap();
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
        // A copy of a data directory is another installation.
        assert_ne!(block(&names[0], &gone), first[0]);
        // One that is no more gives its block back.
        fs::write(claims.join(first[1].to_string()), format!("x\n{}\n", gone.display())).unwrap();
        assert!(is_free(&claims.join(first[1].to_string())));
        fs::remove_dir_all(&folder).unwrap();
    }
}
