//! Under the file mode mask that the unit of systemd sets (`UMask=0077`): what apps read is for everybody all the same, and what is private
//! stays so. A program of its own, as the mask is the whole process's.

use rustix::fs::Mode;
use std::{fs, os::unix::fs::MetadataExt, path::Path};

#[expect(clippy::disallowed_methods, reason = "a test asks how strict it has to be")]
fn is_required() -> bool {
    std::env::var("KEYLESS_REQUIRE_KERNEL_TESTS").is_ok_and(|value| value == "1")
}

#[test]
fn what_apps_read_is_for_everybody_whatever_our_mask_is() {
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    let folder = std::env::temp_dir().join(format!("keyless-umask-{}", std::process::id()));
    kernel::files::create_private_dir(&folder).unwrap();
    let (public, private) = (folder.join("public"), folder.join("private"));
    kernel::files::write_public(&public, b"certificates").unwrap();
    kernel::files::write_private(&private, b"key").unwrap();
    assert_eq!((mode(&folder), mode(&public), mode(&private)), (0o700, 0o644, 0o600));
    fs::remove_dir_all(&folder).unwrap();

    let parent = kernel::Hierarchy::discover().map(|hierarchy| kernel::placement(&hierarchy));
    let Ok(kernel::Placement::Root { parent } | kernel::Placement::Delegated { parent }) = parent else {
        let why = "needs a cgroup to make others in";
        assert!(!is_required(), "KEYLESS_REQUIRE_KERNEL_TESTS=1, but {why}");
        return eprintln!("skipped: {why}");
    };
    let cgroup = kernel::AppCgroup::create(&parent, &format!("umask-{}", std::process::id())).unwrap();
    let modes = (mode(&parent), mode(cgroup.path()));
    cgroup.remove().unwrap();
    assert_eq!(modes, (0o755, 0o755), "an app looks up its limits there");
}
