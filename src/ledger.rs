//! What the daemon remembers: one redb file in its state directory.

mod outbox;

pub use outbox::{Outbox, OutboxError, Sealed};
