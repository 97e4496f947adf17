//! `keyless within`: not for people. The server of an ordinary user may not be dumped, so what it starts may not make namespaces before it
//! executes something else; it starts this, which makes them and becomes the program.

use crate::failure::Failure;
use kernel::{Bind, KernelError, Landlock, Program};
use std::{ffi::OsString, path::PathBuf, process::ExitCode};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What the program sees as `/etc/hosts`
    #[arg(long)]
    hosts: PathBuf,
    /// What the program sees elsewhere, and where; not without
    #[arg(long, num_args = 2, value_names = ["SOURCE", "TARGET"])]
    bind: Vec<PathBuf>,
    /// Not without a Landlock domain: the server has said that the program has one
    #[arg(long)]
    landlock: bool,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    program: Vec<OsString>,
}

/// Comes back only if it cannot be. Before there is a second thread.
pub(crate) fn within(args: Args) -> Result<ExitCode, Failure> {
    let landlock = domain(args.landlock, Landlock::new())?;
    let binds = args.bind.chunks_exact(2).filter_map(|pair| match pair {
        [source, target] => Some(Bind { source: source.clone(), target: target.clone() }),
        _ => None,
    });
    let mut program = Program {
        arguments: args.program,
        environment: std::env::vars_os().collect(),
        hosts: Some(args.hosts),
        binds: binds.collect(),
        landlock: landlock.as_ref(),
        ..Program::default()
    };
    let mut error = kernel::replace(&program);
    if let (KernelError::Namespace(why), true) = (&error, program.binds.is_empty()) {
        crate::output::note(format_args!(
            "keyless: the program gets no /etc/hosts of its own ({why}): the vaults' names must resolve otherwise"
        ));
        program.hosts = None;
        error = kernel::replace(&program);
    }
    Err(crate::run::not_started(&error))
}

/// One that was not promised is put up where it can be had.
fn domain(is_promised: bool, made: Result<Landlock, KernelError>) -> Result<Option<Landlock>, Failure> {
    match made {
        Err(error) if is_promised => Err(crate::run::not_started(&error)),
        made => Ok(made.ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_that_was_promised_and_cannot_be_had_is_a_program_that_does_not_start() {
        let none = || {
            let source = std::io::ErrorKind::Unsupported.into();
            Err(KernelError::System { doing: "make a Landlock domain", source })
        };
        let failure = domain(true, none()).unwrap_err();
        assert!(failure.to_string().contains("Landlock"), "{failure}");
        assert_ne!(failure.exit_code(), 0);
        assert!(domain(false, none()).unwrap().is_none());
        if Landlock::abi().is_ok() {
            assert!(domain(true, Landlock::new()).unwrap().is_some());
        }
    }
}
