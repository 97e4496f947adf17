//! What the workspace consists of, as cargo and git tell it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::process::{self, Failure};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    // Known when this was built, since `cargo xtask` always builds in place.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Where built things go; also where tools and logs of ours are kept, since it is never committed.
pub(crate) fn target() -> PathBuf {
    process::variable("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The files that are, or are about to be, part of the project (relative paths), without what `.gitignore` names.
pub(crate) fn files() -> Result<Vec<PathBuf>, Failure> {
    let mut git = Command::new("git");
    git.current_dir(root()).args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let listed = process::output(&mut git)?;
    Ok(listed.lines().map(PathBuf::from).filter(|path| root().join(path).is_file()).collect())
}

/// How one package comes to depend on another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// In the product.
    Normal,
    /// In its tests only.
    Test,
    /// In its build script only.
    Build,
}

/// Packages by name and what each depends on, as built on this platform.
pub(crate) struct Graph {
    /// Names of our own packages.
    pub(crate) ours: BTreeSet<String>,
    /// Package name to (dependency name, kind).
    edges: BTreeMap<String, BTreeSet<(String, Kind)>>,
}

impl Graph {
    /// Asks `cargo metadata`.
    pub(crate) fn load() -> Result<Self, Failure> {
        let host = host_platform()?;
        let mut cargo = process::cargo();
        cargo.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", &host]);
        let text = process::output(&mut cargo)?;
        let value: Value =
            serde_json::from_str(&text).map_err(|error| Failure::new(format!("cargo metadata: {error}")))?;
        let list =
            |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let text =
            |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();

        let names: BTreeMap<String, String> = list(&value, "packages")
            .iter()
            .map(|package| (text(package, "id"), text(package, "name")))
            .collect();
        let name = |id: &str| names.get(id).cloned().unwrap_or_else(|| id.to_owned());
        let ours = list(&value, "workspace_members").iter().filter_map(Value::as_str).map(name).collect();
        let mut edges: BTreeMap<String, BTreeSet<(String, Kind)>> = BTreeMap::new();
        let nodes = value.get("resolve").map(|resolve| list(resolve, "nodes")).unwrap_or_default();
        for node in &nodes {
            // Two versions of one package share an entry here; for "who may use what" that is right.
            let from = edges.entry(name(&text(node, "id"))).or_default();
            for dependency in list(node, "deps") {
                for kind in list(&dependency, "dep_kinds") {
                    let kind = match kind.get("kind").and_then(Value::as_str) {
                        Some("dev") => Kind::Test,
                        Some("build") => Kind::Build,
                        _ => Kind::Normal,
                    };
                    from.insert((name(&text(&dependency, "pkg")), kind));
                }
            }
        }
        Ok(Self { ours, edges })
    }

    /// What a package names in its own manifest.
    pub(crate) fn direct(&self, package: &str) -> impl Iterator<Item = (&str, Kind)> {
        self.edges.get(package).into_iter().flatten().map(|(name, kind)| (name.as_str(), *kind))
    }
}

/// Everything in the product below one package, as cargo would build that package alone: tests and build scripts left out.
///
/// Asks `cargo tree`, since the metadata also lists optional packages that no feature switches on.
pub(crate) fn below(package: &str) -> Result<BTreeSet<String>, Failure> {
    let mut cargo = process::cargo();
    cargo.args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--package", package]);
    let tree = process::output(&mut cargo)?;
    Ok(tree.lines().skip(1).filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

/// The platform that this toolchain builds for by itself.
pub(crate) fn host_platform() -> Result<String, Failure> {
    let told = process::output(Command::new("rustc").arg("-vV"))?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure::new("rustc -vV does not name its host"))
}
