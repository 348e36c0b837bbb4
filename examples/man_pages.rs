//! Writes a manual page for each subcommand into the folder given, from the
//! command line's own definition; `make packages` runs it. The page of the
//! program itself and agent.toml(5) are written by hand, in packaging/man.
#![allow(clippy::print_stderr, reason = "it is a program of its own")]

use std::path::Path;
use std::process::ExitCode;

use beian::cli::definition;
use beian::config::Lang;

fn main() -> ExitCode {
    let Some(dir) = std::env::args_os().nth(1) else {
        eprintln!("usage: man_pages FOLDER");
        return ExitCode::from(2);
    };
    match pages(Path::new(&dir)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("man_pages: {e}");
            ExitCode::FAILURE
        }
    }
}

/// `beian-agent-audit.1` and so on, one for each visible subcommand.
fn pages(dir: &Path) -> std::io::Result<()> {
    let mut whole = definition(Lang::En);
    whole.build();
    for sub in whole.get_subcommands().filter(|s| !s.is_hide_set() && s.get_name() != "help") {
        let name = format!("beian-agent-{}", sub.get_name());
        let mut page = Vec::new();
        clap_mangen::Man::new(sub.clone().name(name.clone()).bin_name(name.clone()))
            .manual("beian manual")
            .source(concat!("beian ", env!("CARGO_PKG_VERSION")))
            .render(&mut page)?;
        std::fs::write(dir.join(format!("{name}.1")), page)?;
    }
    Ok(())
}
