//! Asking the running daemon over its control socket. One question, one
//! answer: no runtime is started for it.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::control::{SOCKET, places};

/// Longer than a busy disk takes.
const PATIENCE: Duration = Duration::from_secs(15);
/// Larger than any answer of ours.
const MOST: u64 = 64 << 20;

/// What came of asking.
#[derive(Debug)]
pub enum Answer {
    /// The daemon answered: HTTP status and body.
    Said(u16, Vec<u8>),
    /// No daemon runs: there is no socket, or nobody behind it.
    NotRunning,
    /// There is one that this user may not ask.
    Denied,
}

/// Asks the daemon that belongs to this state directory. Errors: it broke off,
/// took longer than 15 s, or spoke no HTTP.
pub fn ask(state_dir: &Path, method: &str, path: &str) -> io::Result<Answer> {
    let mut denied = false;
    for place in places(state_dir) {
        match UnixStream::connect(place.join(SOCKET)) {
            Ok(stream) => return exchange(stream, method, path),
            Err(e) if e.kind() == ErrorKind::PermissionDenied => denied = true,
            Err(e)
                if matches!(
                    e.kind(),
                    ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory
                ) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(if denied { Answer::Denied } else { Answer::NotRunning })
}

fn exchange(mut stream: UnixStream, method: &str, path: &str) -> io::Result<Answer> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut all = Vec::new();
    stream.take(MOST).read_to_end(&mut all).map_err(|e| match e.kind() {
        ErrorKind::WouldBlock => io::Error::new(ErrorKind::TimedOut, "no answer within 15 s"),
        _ => e,
    })?;
    parse(&all).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "the answer broke off"))
}

/// Status and body of an answer that has its length.
fn parse(all: &[u8]) -> Option<Answer> {
    let end = all.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = std::str::from_utf8(all.get(..end)?).ok()?;
    let body = all.get(end + 4..)?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let length: usize = lines.find_map(|l| {
        let (name, value) = l.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    })?;
    (body.len() == length).then(|| Answer::Said(status, body.to_vec()))
}
