//! The polling token: a file of one line, read anew when it changes.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use super::ServeError;

/// Shorter ones could be guessed.
const LEAST: usize = 16;
/// Longer ones are no token.
const MOST: u64 = 4096;

/// Makes a token of 256 random bits in `path` (0600), unless there is a file.
/// Returns whether it made one.
pub fn make_token(path: &Path) -> io::Result<bool> {
    if path.symlink_metadata().is_ok() {
        return Ok(false);
    }
    let mut random = [0u8; 32];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| io::Error::other("the system gives no random numbers"))?;
    // Beside it first: a crash in between must not leave an empty token.
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let _ = std::fs::remove_file(&beside);
    let made = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(format!("{}\n", URL_SAFE_NO_PAD.encode(random)).as_bytes())?;
        file.sync_all()?;
        // A link, not a rename: whoever was first keeps his.
        match std::fs::hard_link(&beside, path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(e),
        }
    })();
    let _ = std::fs::remove_file(&beside);
    made
}

/// The tokens that open the API.
#[derive(Debug)]
pub struct Tokens {
    files: Vec<PathBuf>,
    known: Mutex<Vec<Known>>,
    // Comparing keyed hashes takes the same time wherever the first wrong
    // byte stands, and whatever the length.
    key: hmac::Key,
}

#[derive(Debug, Clone)]
struct Known {
    stamp: Option<Stamp>,
    tag: Option<hmac::Tag>,
}

/// Enough of a file's metadata to see that it was written or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp(u64, u64, i64, i64, i64, i64);

impl Stamp {
    pub(super) fn of(m: &Metadata) -> Stamp {
        Stamp(m.ino(), m.size(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec())
    }

    pub(super) fn at(path: &Path) -> Option<Stamp> {
        std::fs::metadata(path).ok().map(|m| Stamp::of(&m))
    }
}

impl Tokens {
    /// Reads the files; any of their tokens opens. One that is missing opens
    /// nothing, one that cannot be used is an error.
    pub fn open(files: Vec<PathBuf>) -> Result<Tokens, ServeError> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| ServeError::new("the system gives no random numbers", "系统给不出随机数"))?;
        let mut known = Vec::new();
        for file in &files {
            known.push(match read(file) {
                Ok((stamp, token)) => {
                    Known { stamp: Some(stamp), tag: Some(hmac::sign(&key, token.as_bytes())) }
                }
                Err(Unusable::Missing) => Known { stamp: None, tag: None },
                Err(Unusable::Because(e)) => return Err(e),
            });
        }
        Ok(Tokens { files, known: Mutex::new(known), key })
    }

    /// Whether this is one of the tokens. A file that has changed is read
    /// again first; one that can no longer be used opens nothing.
    pub fn opens(&self, presented: &[u8]) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (file, k) in self.files.iter().zip(known.iter_mut()) {
            let stamp = Stamp::at(file);
            if stamp == k.stamp {
                continue;
            }
            // A file that cannot be used is remembered as seen: it is told once.
            *k = match read(file) {
                Ok((stamp, token)) => {
                    Known { stamp: Some(stamp), tag: Some(hmac::sign(&self.key, token.as_bytes())) }
                }
                Err(Unusable::Missing) => Known { stamp: None, tag: None },
                Err(Unusable::Because(e)) => {
                    tracing::warn!("{e}");
                    Known { stamp, tag: None }
                }
            };
        }
        // All are compared, so that time does not tell which one was near.
        known.iter().fold(false, |open, k| {
            open | k.tag.as_ref().is_some_and(|t| hmac::verify(&self.key, presented, t.as_ref()).is_ok())
        })
    }
}

enum Unusable {
    Missing,
    Because(ServeError),
}

fn read(path: &Path) -> Result<(Stamp, String), Unusable> {
    let because = |en: &str, zh: &str| {
        let at = path.display();
        Unusable::Because(ServeError::new(
            format!("[serve] token_file {at}: {en}"),
            format!("[serve] token_file {at}：{zh}"),
        ))
    };
    let io = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => Unusable::Missing,
        _ => because(&e.to_string(), &format!("读不了（{e}）")),
    };
    let file = File::open(path).map_err(io)?;
    let m = file.metadata().map_err(io)?;
    if !m.is_file() {
        return Err(because("no regular file", "不是普通文件"));
    }
    // Not the group: a credential that systemd hands over shows its ACL there.
    if m.mode() & 0o007 != 0 {
        return Err(because(
            "every user may read or write it; chmod 600 and replace the token",
            "所有用户都可读写；请 chmod 600 并更换令牌",
        ));
    }
    let mut text = String::new();
    file.take(MOST).read_to_string(&mut text).map_err(io)?;
    let token = text.trim();
    if token.len() < LEAST || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(because(
            "a token is one line of at least 16 printable ASCII characters",
            "令牌是一行至少 16 个可打印的 ASCII 字符",
        ));
    }
    Ok((Stamp::of(&m), token.to_owned()))
}
