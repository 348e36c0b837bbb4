//! A report's bytes. 10,000 names are 12 MB of JSON and half a megabyte of
//! gzip: only the gzip is ever held.

use std::io::{self, Read, Write};

use axum::body::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use ring::digest::{Context, SHA256};

/// A body, packed once and shared by all who read it. Clones share the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    digest: String,
    length: u64,
    gzip: Bytes,
}

impl Packed {
    /// Packs what `write` writes, piece by piece.
    pub fn of(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<Packed> {
        let mut to = Packing {
            digest: Context::new(&SHA256),
            length: 0,
            gzip: GzEncoder::new(Vec::new(), Compression::fast()),
        };
        write(&mut to)?;
        let mut gzip = to.gzip.finish()?;
        gzip.shrink_to_fit();
        let digest = to.digest.finish().as_ref().iter().map(|b| format!("{b:02x}")).collect();
        Ok(Packed { digest, length: to.length, gzip: Bytes::from(gzip) })
    }

    /// SHA-256 of the unpacked bytes, in hex.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Unpacked bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The gzip bytes, shared.
    pub fn gzip(&self) -> Bytes {
        self.gzip.clone()
    }

    /// Unpacks as it is read.
    pub fn reader(&self) -> impl Read + Send + use<> {
        GzDecoder::new(io::Cursor::new(self.gzip.clone()))
    }
}

struct Packing {
    digest: Context,
    length: u64,
    gzip: GzEncoder<Vec<u8>>,
}

impl Write for Packing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gzip.write_all(bytes)?;
        self.digest.update(bytes);
        self.length += bytes.len() as u64;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
