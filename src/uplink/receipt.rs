//! The hub's word that it has a report: signed, so that nothing on the way can
//! say so in its place.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

/// The answer to a report. Resending the same digest gives the same receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Receipt {
    /// The agent's id.
    pub agent: String,
    /// The report's sequence.
    pub sequence: u64,
    /// The report's `Content-Digest`.
    pub digest: String,
    /// When the hub took it (RFC 3339).
    pub received_at: String,
    /// Ed25519 by the hub's receipt key over [`Receipt::text`], base64.
    pub signature: String,
}

impl Receipt {
    /// What is signed: these lines, joined by line feeds.
    pub fn text(&self) -> String {
        let Receipt { agent, sequence, digest, received_at, .. } = self;
        format!("beian.receipt/1\n{agent}\n{sequence}\n{digest}\n{received_at}")
    }

    /// The same with its signature.
    pub fn signed(mut self, key: &Ed25519KeyPair) -> Receipt {
        self.signature = BASE64.encode(key.sign(self.text().as_bytes()));
        self
    }

    /// Whether it is the hub's, about this report.
    pub fn holds(&self, agent: &str, sequence: u64, digest: &str, public_key: &[u8]) -> bool {
        let Ok(signature) = BASE64.decode(&self.signature) else { return false };
        self.agent == agent
            && self.sequence == sequence
            && self.digest == digest
            && UnparsedPublicKey::new(&ED25519, public_key).verify(self.text().as_bytes(), &signature).is_ok()
    }
}
