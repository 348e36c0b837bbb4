//! Where packed units lie: in large pieces, so that what is freed between them
//! (the sites of a scan) goes back to the system.

/// Bytes of one piece, and of one unit at most.
const PIECE: usize = 256 << 10;
/// Bytes in all; what does not fit is read every time.
const LIMIT: usize = 24 << 20;

/// Where one unit lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    piece: u16,
    len: u32,
    at: u32,
}

#[derive(Debug, Default)]
pub(super) struct Store {
    pieces: Vec<Vec<u8>>,
}

impl Store {
    pub fn get(&self, place: Place) -> &[u8] {
        let (at, len) = (place.at as usize, place.len as usize);
        self.pieces.get(usize::from(place.piece)).and_then(|p| p.get(at..at + len)).unwrap_or_default()
    }

    pub fn add(&mut self, bytes: &[u8]) -> Option<Place> {
        if bytes.len() > PIECE {
            return None;
        }
        if self.pieces.last().is_none_or(|p| p.len() + bytes.len() > PIECE) {
            if self.bytes() + PIECE > LIMIT {
                return None;
            }
            self.pieces.push(Vec::with_capacity(PIECE));
        }
        let piece = u16::try_from(self.pieces.len() - 1).ok()?;
        let last = self.pieces.last_mut()?;
        let place =
            Place { piece, at: u32::try_from(last.len()).ok()?, len: u32::try_from(bytes.len()).ok()? };
        last.extend_from_slice(bytes);
        Some(place)
    }

    pub fn bytes(&self) -> usize {
        self.pieces.len() * PIECE
    }

    /// Moves what is in use together once much is not.
    pub fn tidy(&mut self, units: &mut Vec<Option<Place>>) {
        let live: usize = units.iter().flatten().map(|p| p.len as usize).sum();
        if self.bytes() <= live + live / 4 + 2 * PIECE {
            return;
        }
        let old = std::mem::take(self);
        // A unit that does not fit any more (it always does) is read again.
        units.retain_mut(|slot| {
            *slot = slot.and_then(|p| self.add(old.get(p)));
            slot.is_some()
        });
    }
}
