//! Sends standard input to `HOST:PORT`, or to a unix socket by its path, as it is; prints what comes back, until the other end closes or
//! five seconds are silent. Fails if it cannot connect.
//!
//! The scenarios run it inside an app's process tree, or as a thief, to say what no HTTP library would say.
#![forbid(unsafe_code)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

const SILENCE_MAX: Option<Duration> = Some(Duration::from_secs(5));

fn main() -> std::io::Result<()> {
    let place =
        std::env::args().nth(1).ok_or_else(|| std::io::Error::other("raw HOST:PORT|PATH < request"))?;
    let mut request = Vec::new();
    std::io::stdin().read_to_end(&mut request)?;
    if place.starts_with('/') {
        let stream = UnixStream::connect(place)?;
        stream.set_read_timeout(SILENCE_MAX)?;
        stream.set_write_timeout(SILENCE_MAX)?;
        return exchange(stream, &request);
    }
    let stream = TcpStream::connect(place)?;
    stream.set_read_timeout(SILENCE_MAX)?;
    stream.set_write_timeout(SILENCE_MAX)?;
    exchange(stream, &request)
}

fn exchange(mut stream: impl Read + Write, request: &[u8]) -> std::io::Result<()> {
    // The other end may refuse before it has read all; its answer is still to be read then.
    let _refused_early = stream.write_all(request);
    let mut answer = Vec::new();
    let _silent_or_reset = stream.read_to_end(&mut answer);
    std::io::stdout().write_all(&answer)
}
