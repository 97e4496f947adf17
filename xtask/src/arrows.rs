//! The architecture, checked: which crate may use which of ours, which one is the door to each outside world, and what is absent.
//!
//! Reads `cargo metadata` and the sources. Each rule carries its reason, which is printed when the rule is broken.

use crate::process::{self, Failure};
use crate::workspace::{self, Graph, Kind};

/// A crate of ours and those of ours that it may use. Lowest layer first: a crate may only name crates above its line here.
struct Layer {
    name: &'static str,
    may_use: &'static [&'static str],
    reason: &'static str,
}

const fn layer(name: &'static str, may_use: &'static [&'static str], reason: &'static str) -> Layer {
    Layer { name, may_use, reason }
}

/// What the product is made of, but for its command: what tests of the whole may use.
const PRODUCT: &[&str] = &[
    "domain",
    "crypt",
    "kernel",
    "package",
    "store",
    "audit",
    "access",
    "directory",
    "vault",
    "identity",
    "host",
    "resource",
    "wire",
    "server",
];

const LAYERS: &[Layer] = &[
    layer("domain", &[], "the nouns stand on nothing, so that every layer can share them"),
    layer("crypt", &["domain"], "a door: cryptography can be reviewed with nothing else in view"),
    layer("kernel", &["domain"], "a door: the operating system and all unsafe code, reviewed alone"),
    layer(
        "package",
        &["domain"],
        "a door: foreign archives become files here and nowhere else, reviewed alone",
    ),
    layer(
        "store",
        &["domain"],
        "a door: a store knows bytes and revisions, never what they mean or how they are sealed",
    ),
    layer("audit", &["domain", "crypt"], "the audit log only needs a keyed hash (ADR 0006)"),
    layer(
        "access",
        &["domain", "crypt", "store"],
        "who is calling and may they: a signature and stored rules",
    ),
    layer(
        "directory",
        &["domain", "access", "crypt", "store"],
        "issues tokens; knows neither vaults nor processes",
    ),
    layer(
        "vault",
        &["domain", "access", "crypt", "store"],
        "trusts a signature, an issuer, an audience and a time, as Key Vault does; so it must not know `directory`",
    ),
    layer(
        "identity",
        &["domain", "directory", "kernel", "access", "crypt", "store"],
        "joins the kernel's word to a principal",
    ),
    layer(
        "host",
        &["domain", "identity", "directory", "kernel", "package", "access", "crypt", "store"],
        "apps and their identities change in one commit, so it sees both",
    ),
    layer(
        "resource",
        &["domain", "host", "vault", "directory", "access", "store"],
        "the resource manager sees all that it manages; none of that knows it",
    ),
    layer(
        "wire",
        &[
            "domain",
            "resource",
            "host",
            "identity",
            "vault",
            "directory",
            "access",
            "store",
            "audit",
            "crypt",
        ],
        "HTTP ends here; it may call any service, and no service may know HTTP",
    ),
    layer(
        "server",
        &[
            "domain",
            "crypt",
            "kernel",
            "package",
            "store",
            "audit",
            "access",
            "directory",
            "vault",
            "identity",
            "host",
            "resource",
            "wire",
        ],
        "puts it together",
    ),
    layer(
        "cli",
        &["domain", "crypt", "kernel", "package", "server"],
        "speaks to the server as any client does; starts apps (ADR 0007)",
    ),
    layer("sim", PRODUCT, "tests the whole; nothing depends on it"),
    layer("fuzz", PRODUCT, "gives malformed input to every parser where it stands; nothing depends on it"),
    layer("e2e", &[], "drives the binary as a stranger would: a line into our crates would prove less"),
    layer(
        "bench",
        &["domain", "crypt", "store", "access", "directory", "vault", "e2e"],
        "measures the binary from outside, and the raw limits of the doors; the services only to lay out a large store; e2e's person signs in",
    ),
    layer("example-rust", &[], "is what a user would write"),
    layer("xtask", &[], "must build fast, and check a tree that does not compile"),
];

/// The only crates that may name some packages in the product.
struct Door {
    only: &'static [&'static str],
    packages: &'static [&'static str],
    reason: &'static str,
}

const DOORS: &[Door] = &[
    Door {
        only: &["crypt", "bench"],
        packages: &[
            "aws-lc-rs",
            "aws-lc-sys",
            "rcgen",
            "argon2",
            "p12-keystore",
            "cbc",
            "der",
            "des",
            "pkcs8",
            "rc2",
            "subtle",
            "x509-cert",
            "x509-parser",
            "jsonwebtoken",
        ],
        reason: "one door to cryptography: what is reviewed there holds everywhere (bench measures the library itself)",
    },
    Door {
        only: &["kernel", "package", "bench", "e2e", "xtask"],
        packages: &["libc", "rustix", "nix"],
        reason: "one door to the operating system (tools that only start and stop processes are not the product; a package's files are \
                 made by descriptor, which the standard library cannot do)",
    },
    Door {
        only: &["package"],
        packages: &["zip", "shlex"],
        reason: "one door for archives and commands of strangers: what is refused there gets nowhere",
    },
    Door {
        only: &["store", "bench"],
        packages: &["redb", "etcd-client", "tokio-postgres"],
        reason: "one door to engines: the contract and its conformance suite are all that others may rely on (bench measures the engine itself)",
    },
    Door {
        only: &["wire", "server", "sim", "bench", "fuzz"],
        packages: &["axum", "tower", "tower-http"],
        reason: "HTTP is someone else's design and stops at the edge (bench has a bare server to compare with)",
    },
    Door {
        only: &["wire", "server", "cli", "sim", "bench", "e2e", "fuzz"],
        packages: &["hyper", "hyper-util", "http-body-util"],
        reason: "no service below the edge may speak HTTP",
    },
    Door {
        only: &["server", "cli", "bench", "e2e"],
        packages: &["rustls", "tokio-rustls", "rustls-native-certs"],
        reason: "connections are opened by the whole and by clients, not by services",
    },
    Door {
        only: &["server", "cli"],
        packages: &["figment", "toml", "clap", "tracing-subscriber"],
        reason: "configuration and the process's own log are decided where the process begins",
    },
    Door {
        only: &["cli", "fuzz"],
        packages: &["serde-saphyr"],
        reason: "a person's YAML is read by the command that takes it; the server is spoken to in JSON",
    },
];

/// Packages that must not be below a crate, by any way.
struct Absence {
    below: &'static str,
    packages: &'static [&'static str],
    reason: &'static str,
}

const ABSENCES: &[Absence] = &[
    Absence {
        below: "domain",
        packages: &[
            "tokio",
            "async-trait",
            "futures",
            "hyper",
            "http",
            "axum",
            "rand",
            "getrandom",
            "time",
            "jiff",
            "chrono",
        ],
        reason: "`domain` has no async, no HTTP, no clock and no random source: decisions on it can be replayed",
    },
    Absence {
        below: "vault",
        packages: &["directory", "axum", "hyper"],
        reason: "`vault` does not know `directory`: it trusts a signature, an issuer, an audience and a time",
    },
    Absence {
        below: "store",
        packages: &["crypt", "aws-lc-rs"],
        reason: "`store` never sees a secret in clear: what needs sealing is sealed before it gets there",
    },
    Absence {
        below: "host",
        packages: &["axum", "hyper", "wire"],
        reason: "no service below the edge may speak HTTP",
    },
    Absence {
        below: "cli",
        packages: &["ring", "openssl-sys", "native-tls", "rsa", "sim"],
        reason: "one maintained crypto provider in the product; `rsa` has RUSTSEC-2023-0071",
    },
];

/// Text that only some crates may contain outside their tests.
struct Words {
    only: &'static [&'static str],
    words: &'static [&'static str],
    reason: &'static str,
}

const WORDS: &[Words] = &[
    Words {
        only: &["kernel"],
        words: &["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "allow(unsafe_code)"],
        reason: "only `kernel` contains `unsafe`: one place to review, each block with its SAFETY",
    },
    Words {
        only: &["server", "cli"],
        words: &[
            "SystemTime::now",
            "Timestamp::now",
            "env::var",
            "tokio::spawn(",
            "JoinSet",
            "SystemEntropy",
        ],
        reason: "only `server` spawns tasks, reads the environment, the clock or the entropy pool, so that `sim` can be them",
    },
];

/// Places that break a word's rule for a reason of their own: (file, word, why).
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("crates/crypt/src/entropy.rs", "SystemEntropy", "it is defined there; only `server` makes one"),
    ("crates/crypt/src/lib.rs", "SystemEntropy", "its name is passed on"),
];

/// Checks all rules; a broken one is shown with its reason.
pub(crate) fn run() -> Result<(), Failure> {
    let graph = Graph::load()?;
    let mut broken = Vec::new();
    check_layers(&graph, &mut broken);
    check_doors(&graph, &mut broken);
    check_absences(&mut broken)?;
    check_sources(&graph, &mut broken)?;
    if broken.is_empty() {
        let rules = LAYERS.len() + DOORS.len() + ABSENCES.len() + WORDS.len();
        process::say(&format!("arrows: {} crates keep {rules} rules", graph.ours.len()));
        return Ok(());
    }
    for line in &broken {
        process::say(line);
    }
    Err(Failure::new(format!(
        "{} arrows point the wrong way (docs/ARCHITECTURE.md tells the layers)",
        broken.len()
    )))
}

fn check_layers(graph: &Graph, broken: &mut Vec<String>) {
    for (place, layer) in LAYERS.iter().enumerate() {
        // The table itself must be a tower, else it could allow a circle.
        for used in layer.may_use {
            if !LAYERS.iter().take(place).any(|below| below.name == *used) {
                broken.push(format!("the table lets `{}` use `{used}`, which is not below it", layer.name));
            }
        }
        for (used, kind) in graph.direct(layer.name).filter(|(used, _)| graph.ours.contains(*used)) {
            let is_below = LAYERS.iter().take(place).any(|below| below.name == used);
            // Tests may reach for anything below: they are not in the product.
            if !layer.may_use.contains(&used) && !(kind == Kind::Test && (is_below || used == layer.name)) {
                broken.push(format!("`{}` uses `{used}`\n    why not: {}", layer.name, layer.reason));
            }
        }
    }
    for name in &graph.ours {
        if !LAYERS.iter().any(|layer| layer.name == name) {
            broken.push(format!("`{name}` has no layer\n    why not: a new crate brings a security or testing claim of its own; say it in xtask/src/arrows.rs"));
        }
    }
}

fn check_doors(graph: &Graph, broken: &mut Vec<String>) {
    for door in DOORS {
        for name in graph.ours.iter().filter(|name| !door.only.contains(&name.as_str())) {
            for (used, kind) in graph.direct(name) {
                if kind == Kind::Normal && door.packages.contains(&used) {
                    broken.push(format!(
                        "`{name}` names `{used}`; only {} may\n    why not: {}",
                        door.only.join(", "),
                        door.reason
                    ));
                }
            }
        }
    }
}

fn check_absences(broken: &mut Vec<String>) -> Result<(), Failure> {
    for absence in ABSENCES {
        let below = workspace::below(absence.below)?;
        for package in absence.packages.iter().filter(|package| below.contains(**package)) {
            let (top, reason) = (absence.below, absence.reason);
            broken.push(format!("`{package}` is below `{top}` (by whom: cargo tree -p {top} -i {package})\n    why not: {reason}"));
        }
    }
    Ok(())
}

fn check_sources(graph: &Graph, broken: &mut Vec<String>) -> Result<(), Failure> {
    for path in workspace::files()? {
        let Some(name) = path.to_str().filter(|name| name.starts_with("crates/") && name.ends_with(".rs"))
        else {
            continue;
        };
        let Some(package) = name.split('/').nth(1).filter(|package| graph.ours.contains(*package)) else {
            continue;
        };
        // Tests and the simulation are the world themselves.
        if !name.contains("/src/")
            || package == "sim"
            || name.ends_with("/tests.rs")
            || name.contains("/tests/")
        {
            continue;
        }
        let text = std::fs::read_to_string(workspace::root().join(&path))?;
        let is_root = name.ends_with("/src/lib.rs") || name.ends_with("/src/main.rs");
        if is_root && package != "kernel" && !text.contains("#![forbid(unsafe_code)]") {
            broken.push(format!("{name} lacks #![forbid(unsafe_code)]\n    why not: only `kernel` contains `unsafe`, and this is what holds it"));
        }
        for rule in WORDS.iter().filter(|rule| !rule.only.contains(&package)) {
            for (number, line) in product_lines(&text) {
                let found = rule.words.iter().find(|word| line.contains(**word));
                let Some(word) = found.filter(|word| {
                    !EXCEPTIONS.iter().any(|(file, excepted, _)| *file == name && excepted == *word)
                }) else {
                    continue;
                };
                broken.push(format!(
                    "{name}:{number} has `{word}`; only {} may\n    why not: {}",
                    rule.only.join(", "),
                    rule.reason
                ));
            }
        }
    }
    Ok(())
}

/// Numbered lines without comments, up to the tests (which by our habit come last).
fn product_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(number, line)| (number + 1, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_and_comments_are_not_the_product() {
        let text = "//! Timestamp::now\nlet x = 1;\n#[cfg(test)]\nmod tests { SystemTime::now }";
        assert_eq!(product_lines(text).map(|(number, _)| number).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn the_table_is_a_tower() {
        for (place, layer) in LAYERS.iter().enumerate() {
            for used in layer.may_use {
                assert!(LAYERS[..place].iter().any(|below| below.name == *used), "{} -> {used}", layer.name);
            }
        }
    }
}
