//! Sends standard input to `HOST:PORT` as it is and prints what comes back, until the other end closes or five seconds are silent.
//!
//! The scenarios run it inside an app's process tree, to say to the app's endpoint what no HTTP library would say.
#![forbid(unsafe_code)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

fn main() -> std::io::Result<()> {
    let place = std::env::args().nth(1).ok_or_else(|| std::io::Error::other("raw HOST:PORT < request"))?;
    let mut request = Vec::new();
    std::io::stdin().read_to_end(&mut request)?;
    let mut stream = TcpStream::connect(place)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    // The other end may refuse before it has read all; its answer is still to be read then.
    let _refused_early = stream.write_all(&request);
    let mut answer = Vec::new();
    let _silent_or_reset = stream.read_to_end(&mut answer);
    std::io::stdout().write_all(&answer)
}
