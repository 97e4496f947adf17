//! Whose the folder of all apps is: a mark in it, so that two installations never share one.
//!
//! It says the tenant, which place its data directory has, and where the store is that it belongs to. An installation that was moved together
//! with the folder takes it over; a copy does not as long as the other one is there, unless the folder is in its own data directory, where
//! nobody else's can be. Only a folder that nobody else may write to is asked.

use kernel::files::write_private;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The file that says whose the folder is.
const MARK: &str = ".keyless";

/// Who asks whose a folder is.
#[derive(Clone, Debug)]
pub(super) struct Installation {
    /// The tenant, and which place of it.
    pub(super) id: String,
    /// The data directory's real path.
    pub(super) data: PathBuf,
    /// The file that is there as long as the installation is.
    pub(super) store: PathBuf,
}

/// Whose a folder is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// Not marked; an empty mark is of a crash.
    Nobodys,
    Ours,
    /// It was the same installation's at another place, of which nothing is there any more.
    Left,
    /// The same tenant's at another place: where that is or was, if the mark says so, which those of earlier versions do not.
    Elsewhere(Option<PathBuf>),
    Anothers,
}

impl Installation {
    pub(super) fn whose(&self, folder: &Path) -> Whose {
        let text = match fs::read_to_string(folder.join(MARK)) {
            Ok(text) if text.is_empty() => return Whose::Nobodys,
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Whose::Nobodys,
            Err(_) => return Whose::Anothers,
        };
        let (id, store) = text.split_once('\n').unwrap_or((&text, ""));
        let tenant = |id: &str| id.split(' ').next().unwrap_or_default().to_owned();
        if id == self.id {
            return Whose::Ours;
        }
        if tenant(id) != tenant(&self.id) {
            return Whose::Anothers;
        }
        if folder.starts_with(&self.data) {
            return Whose::Left;
        }
        let store = store.strip_suffix('\n').filter(|store| !store.is_empty()).map(PathBuf::from);
        match store {
            // What may not be looked at is somebody's.
            Some(store) if !store.try_exists().unwrap_or(true) => Whose::Left,
            store => Whose::Elsewhere(store.and_then(|store| Some(store.parent()?.to_owned()))),
        }
    }

    /// Marks a folder as ours, if it is nobody else's.
    pub(super) fn mark(&self, folder: &Path) -> io::Result<()> {
        let path = folder.join(MARK);
        let whole = format!("{}\n{}\n", self.id, self.store.display());
        let write = || write_private(&path, whole.as_bytes()).map_err(io::Error::other);
        let what = match self.whose(folder) {
            Whose::Ours => {
                // One of an earlier version does not say where we are. Nothing that is needed: the disk may be full.
                if fs::read_to_string(&path).is_ok_and(|text| text != whole) {
                    let _as_before = write();
                }
                return Ok(());
            }
            Whose::Nobodys | Whose::Left => return write(),
            Whose::Elsewhere(other) => {
                let other = other.map_or_else(
                    || "this installation at another place".to_owned(),
                    |other| format!("this installation in {}, which is there, too", other.display()),
                );
                format!(
                    "{} belongs to {other}: choose another apps_dir; or if it was moved or copied here for this one, remove {}",
                    folder.display(),
                    path.display()
                )
            }
            Whose::Anothers => {
                format!("{} is another installation's: choose another apps_dir", folder.display())
            }
        };
        Err(io::Error::new(io::ErrorKind::AlreadyExists, what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installation(tenant: &str, data: &Path) -> Installation {
        fs::create_dir_all(data).unwrap();
        let store = data.join("keyless.redb");
        fs::write(&store, "").unwrap();
        Installation { id: format!("{tenant} {}", data.display()), data: data.to_owned(), store }
    }

    #[test]
    fn what_was_moved_together_stays_together_and_a_copy_is_told_what_to_do() {
        let place = std::env::temp_dir().join(format!("keyless-marks-{}", std::process::id()));
        let _left_over = fs::remove_dir_all(&place);
        let (old, new) = (place.join("old"), place.join("new"));
        let (apps, moved) = (place.join("old-apps"), place.join("new-apps"));
        fs::create_dir_all(&apps).unwrap();
        let before = installation("one", &old);
        before.mark(&apps).unwrap();
        // A copy, beside the one that it was made of.
        let copy = installation("one", &new);
        fs::create_dir(&moved).unwrap();
        fs::copy(apps.join(MARK), moved.join(MARK)).unwrap();
        let refused = copy.mark(&moved).unwrap_err().to_string();
        let way_out = format!("remove {}", moved.join(MARK).display());
        assert!(refused.contains(&way_out) && refused.contains(&*old.to_string_lossy()), "{refused}");
        assert_eq!(copy.whose(&apps), Whose::Elsewhere(Some(old.clone())), "nor the other one's");
        // Moved: nothing is left there.
        fs::remove_dir_all(&old).unwrap();
        assert_eq!(copy.whose(&moved), Whose::Left);
        copy.mark(&moved).unwrap();
        assert_eq!(copy.whose(&moved), Whose::Ours);
        // Another tenant's stays so, whatever has become of it.
        assert_eq!(installation("two", &place.join("third")).whose(&moved), Whose::Anothers);
        fs::remove_dir_all(&place).unwrap();
    }

    #[test]
    fn a_folder_in_the_own_data_directory_is_nobody_elses_and_an_old_mark_is_made_whole() {
        let place = std::env::temp_dir().join(format!("keyless-marks-own-{}", std::process::id()));
        let _left_over = fs::remove_dir_all(&place);
        let (old, new) = (place.join("old"), place.join("new"));
        let (before, copy) = (installation("one", &old), installation("one", &new));
        let (apps, copied) = (old.join("apps"), new.join("apps"));
        for folder in [&apps, &copied] {
            fs::create_dir(folder).unwrap();
            // As an earlier version wrote it.
            fs::write(folder.join(MARK), &before.id).unwrap();
        }
        assert_eq!(copy.whose(&copied), Whose::Left, "`cp -a`, and the other is there, too");
        assert_eq!(copy.whose(&apps), Whose::Elsewhere(None));
        for (installation, folder) in [(&before, &apps), (&copy, &copied)] {
            installation.mark(folder).unwrap();
            let mark = fs::read_to_string(folder.join(MARK)).unwrap();
            assert_eq!(mark, format!("{}\n{}\n", installation.id, installation.store.display()));
        }
        fs::write(apps.join(MARK), "").unwrap();
        assert_eq!(before.whose(&apps), Whose::Nobodys);
        fs::remove_dir_all(&place).unwrap();
    }
}
