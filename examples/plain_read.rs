//! `plain_read FOLDER…`: reads every `*.conf` below the folders, and nothing
//! else: the floor for whatever has to read them (`benches/compare.sh`).

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::PathBuf;

fn main() -> io::Result<()> {
    let mut todo: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let (mut files, mut bytes) = (0u64, 0u64);
    while let Some(folder) = todo.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                todo.push(path);
            } else if path.extension() == Some(OsStr::new("conf")) {
                bytes += std::fs::read(&path)?.len() as u64;
                files += 1;
            }
        }
    }
    writeln!(io::stdout(), "{files} files, {bytes} bytes")
}
