//! Where the result goes: stdout, or a file that is opened before anything
//! else is done.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

use crate::config::{Lang, io_text};
use crate::document::Look;

use super::{Color, Stop};

/// The place for the result.
pub struct Output {
    file: Option<(File, String)>,
    color: Color,
    lang: Lang,
}

fn refused(name: &str, e: &io::Error, lang: Lang) -> Stop {
    let why = io_text(e);
    Stop::refuse(lang.pick(
        format!("--output：{name} 不能写：{}", why.zh),
        format!("--output: {name} cannot be written: {}", why.en),
    ))
}

impl Output {
    /// Opens `--output`; no link is followed, and what stands there stays as
    /// it is until there is a result to replace it with. `-` is stdout.
    pub fn open(path: Option<&Path>, color: Color, lang: Lang) -> Result<Output, Stop> {
        let file = match path {
            None => None,
            Some(p) if p == Path::new("-") => None,
            Some(p) => {
                let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits();
                let file = OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(false)
                    .custom_flags(i32::try_from(flags).unwrap_or(0))
                    .open(p)
                    .map_err(|e| refused(&p.display().to_string(), &e, lang))?;
                Some((file, p.display().to_string()))
            }
        };
        Ok(Output { file, color, lang })
    }

    /// How a table looks there.
    pub fn look(&self) -> Look {
        let terminal = self.file.is_none() && io::stdout().is_terminal();
        let color = match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && color_is_welcome(),
        };
        let asked = std::env::var("COLUMNS").ok().and_then(|v| v.parse::<usize>().ok());
        let width = if terminal {
            rustix::termios::tcgetwinsize(io::stdout())
                .ok()
                .map(|w| usize::from(w.ws_col))
                .filter(|w| *w > 0)
                .or(asked)
                .unwrap_or(80)
        } else {
            asked.unwrap_or(100)
        };
        Look { width: width.clamp(20, 400), color }
    }

    /// Writes the result.
    pub fn write(self, f: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Stop> {
        match self.file {
            None => to_stdout(f),
            Some((file, name)) => to_file(file, f).map_err(|e| refused(&name, &e, self.lang)),
        }
    }
}

fn to_file(file: File, f: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    let mut out = BufWriter::with_capacity(1 << 16, file);
    f(&mut out)?;
    out.flush()
}

/// Writes to stdout. A reader that has gone (`| head`) is no error.
pub fn to_stdout(f: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Stop> {
    // Not io::stdout(): its own buffer is written line by line.
    let written = rustix::io::fcntl_dupfd_cloexec(io::stdout(), 0).map_err(io::Error::from).and_then(|fd| {
        let mut out = BufWriter::with_capacity(1 << 16, File::from(fd));
        let result = f(&mut out).and_then(|()| out.flush());
        // What is left in the buffer must not be tried again on drop.
        let _ = out.into_parts();
        result
    });
    match written {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Stop::refuse(format!("stdout: {e}"))),
        _ => Ok(()),
    }
}

/// NO_COLOR and dumb terminals ask for none.
pub fn color_is_welcome() -> bool {
    let set = |k: &str| std::env::var_os(k).is_some_and(|v| !v.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}
