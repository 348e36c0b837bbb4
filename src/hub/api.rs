//! Shapes of the API that other rooms own and that carry no schema there.

use serde::Serialize;
use utoipa::ToSchema;

/// The receipt of a report, signed by the hub's key over the lines
/// `beian.receipt/1`, agent, sequence, digest, received_at.
#[derive(Serialize, ToSchema)]
pub struct ReceiptBody {
    /// The agent's id.
    pub agent: String,
    /// The report's sequence.
    pub sequence: u64,
    /// Its `Content-Digest`.
    pub digest: String,
    /// When the hub took it (RFC 3339).
    pub received_at: String,
    /// Ed25519, base64.
    pub signature: String,
    /// What the hub sets.
    pub settings: SettingsBody,
}

/// The answer to a heartbeat.
#[derive(Serialize, ToSchema)]
pub struct BeatBody {
    /// What the hub sets.
    pub settings: SettingsBody,
}

/// What the hub sets for an agent: data, never a path, a command or an address
/// to fetch.
#[derive(Serialize, ToSchema)]
pub struct SettingsBody {
    /// Seconds between reports where nothing changes.
    pub report_interval: u64,
    /// Seconds between heartbeats.
    pub heartbeat_interval: u64,
    /// Seconds over which the first report is spread.
    pub splay: u64,
    /// Addresses that the inventory assigns to this server.
    pub addresses: Vec<String>,
    /// CDN suffixes.
    pub cdn_suffixes: Vec<String>,
    /// Names that the provider exempts.
    pub exemptions: Vec<ExemptionBody>,
    /// Domains known to be filed.
    pub canaries: Vec<String>,
}

/// One exemption, as an agent is told it.
#[derive(Serialize, ToSchema)]
pub struct ExemptionBody {
    /// The name; all below it is exempt too.
    pub name: String,
    /// Who.
    pub by: String,
    /// Why.
    pub why: String,
    /// Until when, `YYYY-MM-DD`.
    pub until: Option<String>,
}

/// What a server sends to enrol.
#[derive(Serialize, ToSchema)]
pub struct EnrolBody {
    /// The provider's token.
    pub token: String,
    /// Ed25519, base64url.
    pub public_key: String,
    /// SHA-256 of the certificate that polling is answered with.
    pub certificate_fingerprint: Option<String>,
    /// Host name.
    pub hostname: String,
    /// Version of the agent.
    pub version: String,
    /// Where the hub may poll.
    pub announce: Option<String>,
    /// Addresses, as the server sees them.
    pub addresses: Vec<String>,
}

/// What it gets.
#[derive(Serialize, ToSchema)]
pub struct EnrolledBody {
    /// The agent's id.
    pub agent_id: String,
    /// The hub's receipt key, base64url.
    pub receipt_key: String,
    /// What the hub polls with.
    pub polling_token: String,
    /// An operator has to confirm this server first.
    pub quarantined: bool,
    /// What the hub sets.
    pub settings: SettingsBody,
}
