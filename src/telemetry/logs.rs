//! Where the daemon's log goes: the journal with fields where stderr leads
//! there, else stderr; and the JSON-lines file.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use super::Metrics;
use super::json_file::{JsonFile, JsonLines};

/// The running log; the daemon keeps it to open the file anew.
pub struct Logs {
    file: Option<Arc<JsonFile>>,
}

impl Logs {
    /// Starts the daemon's log. `filter` is in the syntax of `RUST_LOG`. A log
    /// file that cannot be opened is said in the log and tried again later.
    pub fn start(filter: &str, json_file: Option<&Path>, metrics: &Metrics) -> Logs {
        let journal = if stderr_is_journal() { journal().ok() } else { None };
        let stderr = journal.is_none().then(|| {
            tracing_subscriber::fmt::layer()
                .with_ansi(std::io::stderr().is_terminal())
                .with_target(false)
                .with_writer(std::io::stderr)
        });
        let opened = json_file.map(|p| JsonFile::new(p, metrics.dropped_lines()));
        let (file, result) = match opened {
            Some((file, result)) => (Some(Arc::new(file)), result),
            None => (None, Ok(())),
        };
        // A second start (tests) keeps the first one's places.
        let _ = tracing_subscriber::registry()
            .with(EnvFilter::new(filter))
            .with(journal)
            .with(stderr)
            .with(file.clone().map(|f| JsonLines(f).boxed()))
            .try_init();
        if let Err(error) = result {
            tracing::warn!(target: "beian", %error, "the log file ([log] json_file) cannot be opened");
        }
        Logs { file }
    }

    /// Opens the log file anew (SIGHUP); without a file there is nothing to do.
    pub fn reopen(&self) {
        if let Some(file) = &self.file
            && let Err(error) = file.reopen()
        {
            tracing::warn!(target: "beian", %error, "the log file ([log] json_file) cannot be opened anew");
        }
    }
}

/// Whether stderr leads to the journal (`JOURNAL_STREAM`, systemd.exec(5)).
pub fn stderr_is_journal() -> bool {
    let Ok(stat) = rustix::fs::fstat(std::io::stderr()) else { return false };
    std::env::var("JOURNAL_STREAM").is_ok_and(|v| v == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// The journal. Without a prefix, so that `beian_verdict` is `BEIAN_VERDICT`.
fn journal() -> std::io::Result<tracing_journald::Layer> {
    Ok(tracing_journald::layer()?.with_field_prefix(None).with_syslog_identifier("beian-agent".to_owned()))
}

/// The layers of the journal alone, for its test.
#[cfg(test)]
pub(super) fn journal_alone() -> std::io::Result<impl tracing::Subscriber> {
    Ok(tracing_subscriber::registry().with(journal()?))
}

/// The layers of the file alone, for its test.
#[cfg(test)]
pub(super) fn file_alone(file: Arc<JsonFile>) -> impl tracing::Subscriber {
    tracing_subscriber::registry().with(JsonLines(file))
}
