//! Logs: on stderr, our own only. The libraries' finer logs may hold requests
//! and with them keys, so no level shows more than their warnings.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::{Call, Color};

/// Starts logging as `-q` and `-v` say.
pub fn start(call: &Call) {
    let filter = filter(call);
    let ansi = match call.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => std::io::stderr().is_terminal() && super::output::color_is_welcome(),
    };
    // A second start (tests) keeps the first one's settings.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_ansi(ansi)
        .with_target(false)
        .with_writer(std::io::stderr)
        .try_init();
}

/// The daemon's log: it says what happens, not only what is wrong.
pub fn filter_of_daemon(call: &Call) -> &'static str {
    match (call.quiet, call.verbose) {
        (true, _) => "error",
        (false, 0) => "warn,beian=info,beian_agent=info",
        (false, _) => "warn,beian=debug,beian_agent=debug",
    }
}

fn filter(call: &Call) -> &'static str {
    match (call.quiet, call.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "warn,beian=info,beian_agent=info",
        (false, _) => "warn,beian=debug,beian_agent=debug",
    }
}
