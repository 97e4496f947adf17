//! Whether somebody has asked the demo to stop, by a signal. It does not end there and then, since it has processes and files to clean up: all
//! that goes on looks here, and gives up.

use crate::failure::Failure;
use server::{Asked, StopSignals};
use std::{
    sync::{
        atomic::{AtomicU8, Ordering},
        mpsc,
    },
    thread,
};

/// The exit status of a shell's program that a signal ended (SIGINT, SIGTERM); 0: nobody has asked.
static STATUS: AtomicU8 = AtomicU8::new(0);

/// From now on a signal asks, and does not end this process.
pub(super) fn listen() -> Result<(), Failure> {
    let (tell, told) = mpsc::channel();
    let listen = move || -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut signals = StopSignals::listen()?;
            let _gone = tell.send(());
            let status = match signals.asked().await {
                Asked::Interrupted => 130,
                Asked::Terminated => 143,
            };
            STATUS.store(status, Ordering::SeqCst);
            Ok(())
        })
    };
    thread::Builder::new().name("demo-signals".to_owned()).spawn(listen)?;
    told.recv().map_err(|_| Failure::new("the system takes no handlers for signals"))
}

/// Fails once somebody has asked.
pub(super) fn check() -> Result<(), Failure> {
    match STATUS.load(Ordering::SeqCst) {
        0 => Ok(()),
        status => Err(Failure::new("stopped by a signal; all that the demo started is gone").code(status)),
    }
}
