//! The command line: what is asked for, and the parts of the life of the
//! process that are about a terminal. `bin/beian-agent.rs` puts them in order.

mod args;
mod commands;
mod doctor;
mod early;
mod enrol;
mod logs;
mod names_file;
mod output;
mod progress;
mod status;
mod usage;

use std::process::ExitCode;

use crate::facts::Report;

pub use args::{Call, Color, Command, Format, Pass, definition, parse};
pub use commands::{
    as_enrolled, completions, config_check, config_show, help, hub, one_name, request, show_audit,
    show_explain, show_sites,
};
pub use doctor::{DOCTOR_SCHEMA, doctor};
pub use early::Early;
pub use enrol::enrol;
pub use logs::{filter_of_daemon as log_filter, start as start_logs};
pub use output::Output;
pub use progress::Bar;
pub use status::{explain_from_ledger, status};

/// Exit codes (design.md "Command line", contract-details Q1, Q2).
pub const OK: u8 = 0;
/// A violation or a suspicion.
pub const WRONG: u8 = 1;
/// The command or the settings cannot be used.
pub const USAGE: u8 = 2;
/// Nothing wrong was found, but not everything is known.
pub const INCOMPLETE: u8 = 3;

/// Why the process ends before its work is done.
#[derive(Debug)]
pub enum Stop {
    /// Help or version: on stdout, and all is well.
    Show(String),
    /// One line on stderr; stdout stays empty.
    Refuse(String),
}

impl Stop {
    /// A refusal of one line, whatever the message holds.
    pub fn refuse(message: impl std::fmt::Display) -> Stop {
        let line = message.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        Stop::Refuse(crate::document::visible(&line).into_owned())
    }
}

/// Settings that cannot be used, in the reader's language.
pub fn bad_settings(lang: crate::config::Lang) -> impl FnOnce(crate::config::ConfigError) -> Stop {
    move |e| Stop::refuse(e.0.of(lang))
}

impl From<anyhow::Error> for Stop {
    fn from(e: anyhow::Error) -> Stop {
        Stop::refuse(format!("{e:#}"))
    }
}

/// Says why on the right stream, and with which code the process ends.
pub fn end(result: Result<u8, Stop>) -> ExitCode {
    use std::io::Write;
    ExitCode::from(match result {
        Ok(code) => code,
        Err(Stop::Show(text)) => match output::to_stdout(|out| out.write_all(text.as_bytes())) {
            Ok(()) => OK,
            Err(e) => return end(Err(e)),
        },
        Err(Stop::Refuse(line)) => {
            // A closed stderr leaves nobody to tell.
            let _ = writeln!(std::io::stderr(), "beian-agent: {line}");
            USAGE
        }
    })
}

/// The exit code of a report.
pub fn exit_code(report: &Report, strict: bool) -> u8 {
    let s = &report.summary;
    if s.violation + s.suspected > 0 || (strict && !report.findings.is_empty()) {
        WRONG
    } else if !report.complete || s.unconfirmed > 0 {
        INCOMPLETE
    } else {
        OK
    }
}

#[cfg(test)]
mod tests;
