//! The life of one `beian-hub` process.

use std::ffi::OsString;
use std::process::ExitCode;

#[allow(clippy::print_stderr, reason = "the one line that says why")]
fn main() -> ExitCode {
    beian::filing::install_crypto();
    let args: Vec<OsString> = std::env::args_os().collect();
    match beian::hub::cli::run(&args) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("beian-hub: {error:#}");
            ExitCode::from(beian::hub::cli::USAGE)
        }
    }
}
