//! Sites in few bytes: numbers of variable length, and texts of which each is
//! written once in a unit.

/// Texts among which repetitions are looked for.
const RECENT: usize = 48;
/// Shorter ones are as short themselves.
const WORTH: usize = 3;

/// Writes a unit.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    out: Vec<u8>,
    /// Where the texts that were written out stand.
    texts: Vec<(u32, u32)>,
}

impl Packer {
    pub fn num(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.out.push((n as u8) | 0x80);
            n >>= 7;
        }
        self.out.push(n as u8);
    }

    pub fn fixed(&mut self, n: u64) {
        self.out.extend_from_slice(&n.to_le_bytes());
    }

    pub fn flag(&mut self, b: bool) {
        self.num(u64::from(b));
    }

    pub fn maybe(&mut self, b: Option<bool>) {
        self.num(match b {
            None => 0,
            Some(false) => 1,
            Some(true) => 2,
        });
    }

    pub fn text(&mut self, text: &[u8]) {
        if text.len() >= WORTH {
            let again = self.texts.iter().position(|&(at, len)| {
                len as usize == text.len()
                    && self.out.get(at as usize..at as usize + text.len()) == Some(text)
            });
            if let Some(number) = again {
                return self.num((number as u64) << 1 | 1);
            }
        }
        self.num((text.len() as u64) << 1);
        if text.len() >= WORTH && self.texts.len() < RECENT {
            self.texts.push((self.out.len() as u32, text.len() as u32));
        }
        self.out.extend_from_slice(text);
    }

    pub fn option(&mut self, text: Option<&str>) {
        self.flag(text.is_some());
        if let Some(text) = text {
            self.text(text.as_bytes());
        }
    }

    pub fn list(&mut self, texts: &[String]) {
        self.num(texts.len() as u64);
        for t in texts {
            self.text(t.as_bytes());
        }
    }

    /// From here on, what stands before is not referred to.
    pub fn restart(&mut self) {
        self.texts.clear();
    }

    /// What was written.
    pub fn done(self) -> Vec<u8> {
        self.out
    }
}

/// Reads a unit. Everything is `None` once something does not fit, which
/// cannot happen to what [`Packer`] wrote.
#[derive(Debug)]
pub(crate) struct Unpacker<'b> {
    bytes: &'b [u8],
    at: usize,
    texts: [(u32, u32); RECENT],
    known: usize,
}

impl<'b> Unpacker<'b> {
    pub fn new(bytes: &'b [u8]) -> Unpacker<'b> {
        Unpacker::at(bytes, 0)
    }

    /// Goes on where the packer was told to restart.
    pub fn at(bytes: &'b [u8], at: usize) -> Unpacker<'b> {
        Unpacker { bytes, at, texts: [(0, 0); RECENT], known: 0 }
    }

    pub fn position(&self) -> usize {
        self.at
    }

    pub fn num(&mut self) -> Option<u64> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let b = *self.bytes.get(self.at)?;
            self.at += 1;
            n |= u64::from(b & 0x7f) << shift;
            if b < 0x80 {
                return Some(n);
            }
        }
        None
    }

    /// A number that has to fit.
    pub fn small<T: TryFrom<u64>>(&mut self) -> Option<T> {
        T::try_from(self.num()?).ok()
    }

    pub fn fixed(&mut self) -> Option<u64> {
        let bytes = self.bytes.get(self.at..self.at + 8)?;
        self.at += 8;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    pub fn flag(&mut self) -> Option<bool> {
        Some(self.num()? != 0)
    }

    pub fn maybe(&mut self) -> Option<Option<bool>> {
        Some(match self.num()? {
            0 => None,
            1 => Some(false),
            _ => Some(true),
        })
    }

    pub fn text(&mut self) -> Option<&'b [u8]> {
        let n = usize::try_from(self.num()?).ok()?;
        if n & 1 == 1 {
            let (at, len) = *self.texts.get(..self.known)?.get(n >> 1)?;
            return self.bytes.get(at as usize..(at + len) as usize);
        }
        let (at, len) = (self.at, n >> 1);
        let text = self.bytes.get(at..at.checked_add(len)?)?;
        self.at += len;
        if len >= WORTH
            && let Some(slot) = self.texts.get_mut(self.known)
        {
            *slot = (at as u32, len as u32);
            self.known += 1;
        }
        Some(text)
    }

    pub fn string(&mut self) -> Option<String> {
        Some(std::str::from_utf8(self.text()?).ok()?.to_owned())
    }

    pub fn option(&mut self) -> Option<Option<String>> {
        Some(if self.flag()? { Some(self.string()?) } else { None })
    }

    pub fn list(&mut self) -> Option<Vec<String>> {
        let n: usize = self.small()?;
        // Not more than can be there, whatever the number says.
        let mut out = Vec::with_capacity(n.min(self.bytes.len() - self.at.min(self.bytes.len())));
        for _ in 0..n {
            out.push(self.string()?);
        }
        Some(out)
    }
}
