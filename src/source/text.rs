//! Bytes as text for people: UTF-8, else GB18030 (of which GBK and GB2312 are
//! parts), never lost.

use encoding_rs::GB18030;

/// Decodes UTF-8, else GB18030; what is neither becomes U+FFFD.
pub fn decode(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(s) => s.to_owned(),
        Err(_) => GB18030.decode_without_bom_handling(bytes).0.into_owned(),
    }
}
