//! What still has to be told to the hub.

/// A report that has its sequence and its bytes, and keeps both until the hub
/// has given a receipt: a second try must send the very same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The agent's sequence, shared with heartbeats.
    pub sequence: u64,
    /// The body as it is sent: gzip over the JSON of a `beian.report/1`.
    pub body: Vec<u8>,
}

/// Why the outbox cannot give or take: the disk is full or broken. Nothing is
/// lost by it; the caller tries again later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the outbox cannot be used: {0}")]
pub struct OutboxError(pub String);

/// The ledger as the sender sees it. Calls block on the disk for
/// milliseconds; none waits for the network.
pub trait Outbox: Send + Sync + 'static {
    /// What is to be sent now: the sealed report that still waits for its
    /// receipt, else a new one if there is something to tell (transitions,
    /// losses), else, with `snapshot`, one that only tells the state. It is on
    /// disk, with its sequence, before this returns.
    fn next(&self, snapshot: bool) -> Result<Option<Sealed>, OutboxError>;
    /// The hub has it: `receipt` is kept as the latest, what it told is done.
    fn delivered(&self, sequence: u64, receipt: &str) -> Result<(), OutboxError>;
    /// The hub knows `highest` already, under another digest (this server was
    /// restored from a snapshot): go on above it, and seal again.
    fn rolled_back(&self, highest: u64) -> Result<(), OutboxError>;
    /// The hub refuses this one for good: it goes to the dead letters, and a
    /// loss is noted that the next report tells.
    fn dead_letter(&self, sequence: u64, why: &str) -> Result<(), OutboxError>;
    /// Too large for the hub: seal it again in twice as many parts. An error
    /// where it cannot be made smaller (then it is a dead letter).
    fn split(&self, sequence: u64) -> Result<(), OutboxError>;
    /// A number for a heartbeat, used up at once.
    fn take_sequence(&self) -> Result<u64, OutboxError>;
}
