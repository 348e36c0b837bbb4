//! What still has to be told to the hub.
//!
//! A report is sealed: it gets its sequence and its bytes in one transaction,
//! and keeps both until the hub has given a receipt. Meanwhile nothing else is
//! sealed; what comes about waits as untold transitions, and the next report
//! shows the state of its own time, so that a superseded snapshot is never
//! kept.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;

use crate::facts::{Loss, LossKind, Part, Transition};

use super::report::{self, Head};
use super::store::{Fault, Letter, Txn};
use super::{Inner, Ledger};

/// Transitions that one report tells at most.
const TRANSITIONS_MOST: usize = 2_000;
/// Parts that a report is split into at most.
const PARTS_MOST: u32 = 256;

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

impl Outbox for Ledger {
    fn next(&self, snapshot: bool) -> Result<Option<Sealed>, OutboxError> {
        let mut guard = self.lock();
        let inner = &mut *guard;
        if let Some((sequence, letter)) = inner.store.read(|t| t.first_letter()).map_err(|e| fault(&e))? {
            return opened(sequence, &letter).map(Some);
        }
        let anything = snapshot
            || inner
                .store
                .read(|t| Ok(t.untold_len()? > 0 || !t.losses()?.is_empty() || state_to_tell(t)?))
                .map_err(|e| fault(&e))?;
        if !anything {
            return Ok(None);
        }
        let Inner { store, agent, summary, .. } = inner;
        store.write(|t| seal(t, agent, *summary).map(|()| true));
        match store.read(|t| t.first_letter()).map_err(|e| fault(&e))? {
            Some((sequence, letter)) => opened(sequence, &letter).map(Some),
            None => Err(OutboxError("the report could not be sealed".to_owned())),
        }
    }

    fn delivered(&self, sequence: u64, receipt: &str) -> Result<(), OutboxError> {
        let mut inner = self.lock();
        inner.store.write(|t| {
            if let Some(letter) = t.take_letter(sequence)? {
                t.forget_untold(&letter.told)?;
                t.forget_losses(&letter.losses)?;
            }
            t.put_meta("receipt", &receipt)?;
            t.put_meta("delivered_at", &Timestamp::now())
        });
        drop(inner);
        self.deliveries.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
        Ok(())
    }

    fn rolled_back(&self, highest: u64) -> Result<(), OutboxError> {
        let mut inner = self.lock();
        inner.store.write(|t| {
            let mine: u64 = t.meta("sequence")?.unwrap_or(0);
            t.put_meta("sequence", &mine.max(highest))?;
            t.unseal()
        });
        Ok(())
    }

    fn dead_letter(&self, sequence: u64, why: &str) -> Result<(), OutboxError> {
        let mut inner = self.lock();
        inner.store.write(|t| {
            let Some(letter) = t.take_letter(sequence)? else { return Ok(()) };
            t.forget_untold(&letter.told)?;
            t.forget_losses(&letter.losses)?;
            t.bury(sequence, why)?;
            t.push_loss(&Loss {
                kind: LossKind::DeadLetter,
                at: Timestamp::now(),
                count: 1,
                detail: format!("the hub refused a report for good: {why}"),
            })
        });
        drop(inner);
        self.changed();
        Ok(())
    }

    fn split(&self, sequence: u64) -> Result<(), OutboxError> {
        let mut inner = self.lock();
        let split = inner.store.write(|t| {
            let parts: u32 = t.meta("parts")?.unwrap_or(1);
            let most = t.names_len()?.max(t.untold_len()?);
            let more = parts.saturating_mul(2);
            let possible = more <= PARTS_MOST && u64::from(more) <= most.saturating_mul(2);
            if possible && t.first_letter()?.is_some_and(|(n, _)| n == sequence) {
                // The hub's limit stays: the next reports are split too.
                t.put_meta("parts", &more)?;
                t.unseal()?;
            }
            Ok(possible)
        });
        if split { Ok(()) } else { Err(OutboxError("the report cannot be made smaller".to_owned())) }
    }

    fn take_sequence(&self) -> Result<u64, OutboxError> {
        let mut inner = self.lock();
        match inner.store.write(next_sequence) {
            0 => Err(OutboxError("no sequence could be taken".to_owned())),
            n => Ok(n),
        }
    }
}

/// The state differs from what was last told, and every name was asked for
/// once: a report full of questions says nothing.
fn state_to_tell(t: &mut Txn<'_>) -> Result<bool, Fault> {
    let changed: bool = t.meta("untold_state")?.unwrap_or(false);
    let asked = |next: Option<Timestamp>| next.is_none_or(|due| due > Timestamp::UNIX_EPOCH);
    Ok(changed && asked(t.next_due(super::store::DUE_NAMES)?) && asked(t.next_due(super::store::DUE_FACTS)?))
}

fn fault(e: &Fault) -> OutboxError {
    OutboxError(e.to_string())
}

fn opened(sequence: u64, letter: &Letter) -> Result<Sealed, OutboxError> {
    match BASE64.decode(&letter.body) {
        Ok(body) => Ok(Sealed { sequence, body }),
        Err(e) => Err(OutboxError(e.to_string())),
    }
}

fn next_sequence(t: &mut Txn<'_>) -> Result<u64, Fault> {
    let next = t.meta::<u64>("sequence")?.unwrap_or(0) + 1;
    t.put_meta("sequence", &next)?;
    Ok(next)
}

/// Seals one report, or all its parts.
fn seal(t: &mut Txn<'_>, agent: &crate::facts::Agent, summary: crate::facts::Summary) -> Result<(), Fault> {
    t.put_meta("untold_state", &false)?;
    let mut untold: Vec<(u64, Transition)> = t.untold_from(0)?;
    untold.truncate(TRANSITIONS_MOST);
    for (_, transition) in &mut untold {
        // The same row stands among the names.
        let now = t.kept(&transition.name)?.map(|k| k.row);
        if now.is_some() && transition.row.as_deref() == now.as_ref() {
            transition.row = None;
        }
    }
    let (losses, loss_list): (Vec<u64>, Vec<Loss>) = t.losses()?.into_iter().unzip();
    let count: u32 = t.meta("parts")?.unwrap_or(1);
    let report_id = uuid::Uuid::now_v7().to_string();
    let share = untold.len().div_ceil(count.max(1) as usize).max(1);
    let mut shares = untold.chunks(share);
    for index in 1..=count {
        let sequence = next_sequence(t)?;
        let mine: &[(u64, Transition)] = shares.next().unwrap_or_default();
        let (told, transitions): (Vec<u64>, Vec<Transition>) = mine.iter().cloned().unzip();
        let head = Head {
            report_id: report_id.clone(),
            sequence,
            agent,
            summary,
            transitions: &transitions,
            losses: if index == 1 { &loss_list } else { &[] },
            part: (count > 1).then_some(Part { index, count }),
        };
        let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
        report::write(t, &head, &mut gz)?;
        gz.flush()?;
        let letter = Letter {
            body: BASE64.encode(gz.finish()?),
            told,
            losses: if index == 1 { losses.clone() } else { Vec::new() },
            at: Timestamp::now(),
        };
        t.put_letter(sequence, &letter)?;
    }
    Ok(())
}
