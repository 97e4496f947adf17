//! `keyless outpost`: not for people. The server of an ordinary user may not go into the networks of its containers; it starts this, which
//! goes there while it has one thread, and makes the server's sockets (`kernel::outpost`).

use crate::failure::Failure;
use std::process::ExitCode;

/// Comes back when the server has gone. Before there is a second thread.
pub(crate) fn outpost() -> Result<ExitCode, Failure> {
    kernel::outpost::serve().map_err(|error| {
        Failure::new(format!("this is for the server, which tells it by its standard input: {error}"))
    })?;
    Ok(ExitCode::SUCCESS)
}
