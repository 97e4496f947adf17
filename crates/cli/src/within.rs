//! `keyless within`: not for people. The server of an ordinary user may not be dumped, so what it starts may not make namespaces before it
//! executes something else; it starts this, which makes them and becomes the program.

use crate::failure::Failure;
use kernel::{KernelError, Program};
use std::{ffi::OsString, path::PathBuf, process::ExitCode};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What the program sees as `/etc/hosts`
    #[arg(long)]
    hosts: PathBuf,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    program: Vec<OsString>,
}

/// Comes back only if it cannot be. Before there is a second thread.
pub(crate) fn within(args: Args) -> Result<ExitCode, Failure> {
    let landlock = kernel::Landlock::new().ok();
    let mut program = Program {
        arguments: args.program,
        environment: std::env::vars_os().collect(),
        hosts: Some(args.hosts),
        landlock: landlock.as_ref(),
        ..Program::default()
    };
    let mut error = kernel::replace(&program);
    if let KernelError::Namespace(why) = &error {
        crate::output::note(format_args!(
            "keyless: the program gets no /etc/hosts of its own ({why}): the vaults' names must resolve otherwise"
        ));
        program.hosts = None;
        error = kernel::replace(&program);
    }
    Err(crate::run::not_started(&error))
}
