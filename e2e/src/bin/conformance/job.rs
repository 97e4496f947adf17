//! A run of pytest over some files of a suite, in a vault of its own; and many of them at a time.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use e2e::conformance::Outcome;
use e2e::{Server, wait};

use crate::Places;
use crate::directory::Directory;
use crate::vault::{self, APP};

/// Runs at a time. More than there are processors, since they mostly sleep.
const AT_A_TIME: usize = 8;

/// The longest that a run may take. The longest sleeps for four minutes; the rest is making keys.
const LIMIT: Duration = Duration::from_secs(25 * 60);

/// What the tests are told of the vault: keys are in software, which Azure calls a standard vault.
const SKU: &str = "standard";

/// Files of a suite to run together.
pub(crate) struct Job<'a> {
    /// One of the suites' names.
    pub(crate) suite: String,
    /// Name of the vault, and of the logs.
    pub(crate) name: String,
    /// Where the suite's tests are.
    pub(crate) tests: PathBuf,
    /// Names of files in there.
    pub(crate) files: Vec<String>,
    /// What pytest is told besides.
    pub(crate) flags: Vec<String>,
    pub(crate) against: Against<'a>,
}

/// What a job's tests talk to.
#[derive(Clone, Copy)]
pub(crate) enum Against<'a> {
    /// A vault of its own, as an app.
    Vault(&'a Server),
    /// The directory.
    Directory(&'a Directory),
}

impl<'a> Job<'a> {
    /// The runs of a suite: one for each file with live tests, and one for all the others.
    pub(crate) fn all(places: &Places, server: &'a Server, suite: &str) -> Result<Vec<Self>, String> {
        let tests = places.suites.join(suite).join("tests");
        let (mut live, mut offline) = (Vec::new(), Vec::new());
        for file in test_files(&tests).map_err(|error| format!("{}: {error}", tests.display()))? {
            let text =
                std::fs::read_to_string(tests.join(&file)).map_err(|error| format!("{file}: {error}"))?;
            if text.contains("Preparer(") { live.push(file) } else { offline.push(file) }
        }
        // The examples sleep the longest, so they begin first.
        live.sort_by_key(|file| (!(file.contains("samples") || file.contains("examples")), file.clone()));
        let groups =
            live.into_iter().map(|file| vec![file]).chain([offline]).filter(|files| !files.is_empty());
        let job = |(number, files)| Self {
            suite: suite.to_owned(),
            name: format!("{suite}-{number}"),
            tests: tests.clone(),
            files,
            flags: Vec::new(),
            against: Against::Vault(server),
        };
        Ok(groups.enumerate().map(job).collect())
    }

    /// Runs it to its end; returns how each test ended, or why that is not known.
    fn run(&self, places: &Places) -> Result<Vec<Outcome>, String> {
        let result = |ending: &str| places.results.join(format!("{}.{ending}", self.name));
        let (log, notes) = (result("log"), result("outcomes"));
        let _absent = std::fs::remove_file(&notes);
        let out = File::create(&log).map_err(|error| error.to_string())?;
        let errors = out.try_clone().map_err(|error| error.to_string())?;

        let mut command = match self.against {
            Against::Vault(server) => {
                let mut command = server.command(["run", "--app", APP, "--"]);
                command.env("AZURE_KEYVAULT_URL", vault::vault(server, &self.name)).env("KEYVAULT_SKU", SKU);
                command
            }
            Against::Directory(directory) => directory.command(),
        };
        command.arg(&places.python).args(["-m", "pytest", "-p", "devtools_testutils.plugin"]);
        command.args(["-p", "no:cacheprovider", "--quiet", "--tb=short"]);
        command.args(&self.flags).arg("--junit-xml").arg(result("xml")).args(&self.files);
        command.current_dir(&self.tests).env("PYTHONPATH", &places.ours).env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("CONFORMANCE_OUTCOMES", &notes);
        command.env("AZURE_TEST_RUN_LIVE", "true").env("AZURE_SKIP_LIVE_RECORDING", "true");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("{}: {error}", self.name))?;
        let ended = wait::within(&mut child, LIMIT);
        let noted = std::fs::read_to_string(&notes).unwrap_or_default();
        let outcomes: Vec<Outcome> = noted.lines().filter_map(Outcome::parse).collect();
        // pytest: 0 all passed, 1 some failed. Anything else is no run at all, or half of one.
        match ended.and_then(|status| status.code()) {
            Some(0 | 1) if !outcomes.is_empty() => Ok(outcomes),
            ended => Err(format!(
                "{}: pytest did not come to its end ({}; {} tests noted; see {})",
                self.files.join(", "),
                ended.map_or_else(
                    || "ended by a signal or the limit".to_owned(),
                    |code| format!("exit {code}")
                ),
                outcomes.len(),
                log.display()
            )),
        }
    }
}

/// Runs all of them, some at a time, in their order.
pub(crate) fn run_all<'a>(
    places: &Places,
    jobs: Vec<Job<'a>>,
) -> Vec<(Job<'a>, Result<Vec<Outcome>, String>)> {
    let ended = Mutex::new(Vec::new());
    let queue = Mutex::new(VecDeque::from(jobs));
    let next = || queue.lock().ok().and_then(|mut queue| queue.pop_front());
    std::thread::scope(|scope| {
        for _worker in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(job) = next() {
                    let outcomes = job.run(places);
                    if let Ok(mut ended) = ended.lock() {
                        ended.push((job, outcomes));
                    }
                }
            });
        }
    });
    ended.into_inner().unwrap_or_default()
}

fn test_files(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // A script for a person at a terminal, which the suite's own set-up leaves out too; named here it would be run.
        if name.starts_with("test_") && name.ends_with(".py") && name != "test_san_live_traffic.py" {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
