//! The log as a file of JSON lines (`[log] json_file`), beside the journal.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{Timestamp, Unit};
use prometheus_client::metrics::counter::Counter;
use rustix::fs::OFlags;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// How soon a file that logrotate has renamed is noticed without SIGHUP.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The file. A line that cannot be written is dropped and counted: a full disk
/// never stops the daemon, and an error about the log cannot go to the log.
pub(super) struct JsonFile {
    path: PathBuf,
    open: Mutex<Open>,
    dropped: Counter,
}

struct Open {
    file: Option<File>,
    looked: Instant,
    /// The last line was cut: the next begins on a line of its own.
    torn: bool,
}

impl JsonFile {
    /// Opens the file; one that cannot be opened is tried again later.
    pub(super) fn new(path: &Path, dropped: Counter) -> (JsonFile, io::Result<()>) {
        let (file, result) = match open(path) {
            Ok(f) => (Some(f), Ok(())),
            Err(e) => (None, Err(e)),
        };
        let state = Open { file, looked: Instant::now(), torn: false };
        (JsonFile { path: path.to_path_buf(), open: Mutex::new(state), dropped }, result)
    }

    /// Opens it anew (SIGHUP).
    pub(super) fn reopen(&self) -> io::Result<()> {
        let new = open(&self.path);
        let mut state = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        state.looked = Instant::now();
        match new {
            Ok(file) => {
                state.file = Some(file);
                state.torn = false;
                Ok(())
            }
            // The old one, even renamed, is better than none.
            Err(e) => Err(e),
        }
    }

    fn write(&self, line: &[u8]) {
        let mut state = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let renamed = || state.file.as_ref().is_none_or(|f| !is_at(f, &self.path));
        if state.looked.elapsed() >= LOOK_EVERY && renamed() {
            if let Ok(file) = open(&self.path) {
                state.file = Some(file);
                state.torn = false;
            }
            state.looked = Instant::now();
        } else if state.looked.elapsed() >= LOOK_EVERY {
            state.looked = Instant::now();
        }
        let torn = state.torn;
        let result = match state.file.as_mut() {
            Some(f) if torn => f.write_all(b"\n").and_then(|()| f.write_all(line)),
            Some(f) => f.write_all(line),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        state.torn = result.is_err() && state.file.is_some();
        if result.is_err() {
            self.dropped.inc();
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    // A FIFO or a device in the log's place must not hold the daemon up.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(i32::try_from(flags).unwrap_or(0))
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"))
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let same = |a: &std::fs::Metadata, b: &std::fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(open), Ok(there)) => same(&open, &there),
        _ => false,
    }
}

/// Writes each event to the file.
pub(super) struct JsonLines(pub std::sync::Arc<JsonFile>);

impl<S: Subscriber> Layer<S> for JsonLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields(Map::new());
        let now = Timestamp::now();
        fields.0.insert("time".into(), now.round(Unit::Millisecond).unwrap_or(now).to_string().into());
        fields.0.insert("level".into(), event.metadata().level().as_str().to_ascii_lowercase().into());
        event.record(&mut fields);
        // JSON spells control characters out, so that it is one line.
        if let Ok(mut line) = serde_json::to_vec(&fields.0) {
            line.push(b'\n');
            self.0.write(&line);
        }
    }
}

struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().into(), format!("{value:?}").into());
    }
}
