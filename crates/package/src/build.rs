//! The steps that make a package ready to start: what its runtime's own tools do, as the app's user.

use crate::{Contents, Runtime};
use std::path::PathBuf;

/// One program that is run to its end before the app is started. If it fails, the package is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Looked for along `PATH`, unless it is a path.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What its environment has besides the app's.
    pub environment: Vec<(&'static str, &'static str)>,
    /// Where it is run.
    pub directory: PathBuf,
    /// What it is for, in words.
    pub why: &'static str,
}

const VENV: &str = ".venv";
const NODE_MODULES: &str = "node_modules";

impl Contents {
    /// What is to be done before the app can start. Nothing, if all of it is in the package.
    pub fn build_steps(&self, runtime: Runtime) -> Vec<Step> {
        match runtime {
            Runtime::Python if self.has("requirements.txt") => self.python(),
            Runtime::Node if self.has("package.json") && !self.root.join(NODE_MODULES).is_dir() => {
                self.node()
            }
            Runtime::Python | Runtime::Node | Runtime::Other => Vec::new(),
        }
    }

    /// The directories that the app's `PATH` begins with.
    pub fn search_path(&self, runtime: Runtime) -> Vec<PathBuf> {
        match runtime {
            Runtime::Python => vec![self.root.join(VENV).join("bin")],
            Runtime::Node => vec![self.root.join(NODE_MODULES).join(".bin")],
            Runtime::Other => Vec::new(),
        }
    }

    fn python(&self) -> Vec<Step> {
        let pip = [("PIP_NO_INPUT", "1"), ("PIP_DISABLE_PIP_VERSION_CHECK", "1")];
        vec![
            // One that came along was made for another place.
            self.step(
                "python3",
                &["-m", "venv", "--clear", VENV],
                &[],
                "a place for the app's Python packages",
            ),
            self.step(
                self.root.join(VENV).join("bin/python"),
                &["-m", "pip", "install", "-r", "requirements.txt"],
                &pip,
                "the Python packages of requirements.txt",
            ),
        ]
    }

    fn node(&self) -> Vec<Step> {
        let quiet = [
            ("NPM_CONFIG_AUDIT", "false"),
            ("NPM_CONFIG_FUND", "false"),
            ("NPM_CONFIG_UPDATE_NOTIFIER", "false"),
        ];
        let is_locked = self.has("package-lock.json") || self.has("npm-shrinkwrap.json");
        let (arguments, why) = match is_locked {
            true => (["ci", "--omit=dev"], "the Node packages of the lock file"),
            false => {
                (["install", "--omit=dev"], "the Node packages of package.json, in whatever versions are new")
            }
        };
        vec![self.step("npm", &arguments, &quiet, why)]
    }

    fn step(
        &self,
        program: impl Into<PathBuf>,
        arguments: &[&str],
        environment: &[(&'static str, &'static str)],
        why: &'static str,
    ) -> Step {
        Step {
            program: program.into(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            environment: environment.to_vec(),
            directory: self.root.clone(),
            why,
        }
    }
}
