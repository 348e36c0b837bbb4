//! The tables, transactions over them, and what happens when the disk fails.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use jiff::{SignedDuration, Timestamp};
use redb::backends::InMemoryBackend;
use redb::{
    Builder, Database, DatabaseError, MultimapTable, MultimapTableDefinition, ReadableMultimapTable as _,
    ReadableTable as _, ReadableTableMetadata as _, Table, TableDefinition,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::config::Freshness;
use crate::facts::{Loss, LossKind, Standing, Summary, Transition, Verdict};

use super::remember::{self, Fact, Kept};

/// Bytes that the ledger may take on disk, compaction included (promise 5).
pub const CEILING: u64 = 64 << 20;
/// redb doubles its file when it has no free page left, and gives nothing back
/// by itself. With 10,000 names and all bounds here reached, some 22 MiB are in
/// use, so that the file never needs to grow beyond about 50. Should it, it is
/// compacted after the commit; not more often than this, since that takes half
/// a second.
const COMPACT_AT: u64 = 56 << 20;
const COMPACT_EVERY: Duration = Duration::from_secs(60);
/// Longest value, unfolded.
const VALUE_MOST: u64 = 16 << 20;
/// Bytes of transitions that wait for the hub; beyond it the oldest go.
pub const UNTOLD_BYTES: u64 = 6 << 20;
/// Transitions kept of one name, and of all names.
const HISTORY_OF_NAME: usize = 50;
const HISTORY: u64 = 10_000;
/// Names that are gone, but remembered.
const GONE: u64 = 20_000;
/// Reports given up of which the reason is kept.
const DEAD: u64 = 64;
/// Files that were set aside and are kept.
const BROKEN: usize = 2;
/// redb's cache: rows are read rarely, and memory is a promise.
const CACHE: usize = 512 << 10;
/// How long after a failure the disk is tried again.
const TRY_DISK: SignedDuration = SignedDuration::from_secs(60);

/// Words of `meta`: bytes of untold transitions; how many were dropped.
const UNTOLD_NOW: &str = "untold_bytes";
const DROPPED: &str = "dropped";

const VERSION: u32 = 1;

type Bytes = &'static [u8];
const META: TableDefinition<'_, &str, Bytes> = TableDefinition::new("meta");
const NAMES: TableDefinition<'_, &str, Bytes> = TableDefinition::new("names");
const FACTS: TableDefinition<'_, &str, Bytes> = TableDefinition::new("facts");
const USES: MultimapTableDefinition<'_, &str, &str> = MultimapTableDefinition::new("uses");
const NAMES_DUE: TableDefinition<'_, (i64, &str), ()> = TableDefinition::new("due_names");
const FACTS_DUE: TableDefinition<'_, (i64, &str), ()> = TableDefinition::new("due_facts");
const GONE_NAMES: TableDefinition<'_, &str, Bytes> = TableDefinition::new("gone");
const UNTOLD: TableDefinition<'_, u64, Bytes> = TableDefinition::new("untold");
const PAST: TableDefinition<'_, (&str, u64), Bytes> = TableDefinition::new("history");
const SEALED: TableDefinition<'_, u64, Bytes> = TableDefinition::new("sealed");
const DEAD_LETTERS: TableDefinition<'_, u64, Bytes> = TableDefinition::new("dead");
const LOSSES: TableDefinition<'_, u64, Bytes> = TableDefinition::new("losses");

/// Which of the two lists of what is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DueTable {
    Names,
    Facts,
}
pub(super) const DUE_NAMES: DueTable = DueTable::Names;
pub(super) const DUE_FACTS: DueTable = DueTable::Facts;

/// Why the ledger cannot be opened at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// A daemon runs already.
    #[error("{0}: another process has the ledger open; is the daemon running already?")]
    InUse(String),
}

/// Why a transaction failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Redb(#[from] redb::Error),
    #[error("a value that cannot be read: {0}")]
    Value(#[from] serde_json::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

macro_rules! from_redb {
    ($($t:ty),+) => { $(impl From<$t> for Fault {
        fn from(e: $t) -> Fault { Fault::Redb(e.into()) }
    })+ };
}
from_redb!(redb::StorageError, redb::TableError, redb::TransactionError, redb::CommitError);

/// A report that is sealed: its body and what it tells.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Letter {
    /// Base64, since the value is JSON.
    pub(super) body: String,
    /// Numbers of the transitions and losses that it tells.
    pub(super) told: Vec<u64>,
    pub(super) losses: Vec<u64>,
    /// When it was sealed.
    pub(super) at: Timestamp,
}

/// What is remembered of a name that is not served any more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Gone {
    pub(super) first_seen: Timestamp,
    pub(super) connected_before_filing: bool,
    pub(super) at: Timestamp,
}

/// The database, on disk or in memory.
pub(super) struct Store {
    path: PathBuf,
    db: Database,
    /// Why it is in memory.
    memory: Option<String>,
    tried_disk: Timestamp,
    /// The file was read when the disk failed, or there was none.
    whole: bool,
    /// When it was last compacted.
    compacted: Option<Instant>,
}

impl Store {
    pub(super) fn open(dir: &Path) -> Result<Store, LedgerError> {
        let path = dir.join("ledger.redb");
        let mut broken = None;
        for _ in 0..2 {
            match open_disk(dir, &path) {
                Ok(db) => {
                    let mut store = Store {
                        path,
                        db,
                        memory: None,
                        tried_disk: Timestamp::now(),
                        whole: true,
                        compacted: None,
                    };
                    if let Some(why) = broken {
                        let loss = set_aside_loss(why);
                        store.write(|t| t.push_loss(&loss));
                    }
                    return Ok(store);
                }
                Err(Opening::InUse) => return Err(LedgerError::InUse(path.display().to_string())),
                Err(Opening::Broken(why)) if broken.is_none() && set_aside(dir, &path).is_ok() => {
                    tracing::error!(why, "the ledger cannot be read and was set aside");
                    broken = Some(why);
                }
                Err(Opening::Broken(why) | Opening::Disk(why)) => {
                    tracing::error!(why, "the ledger cannot be on disk; it is kept in memory meanwhile");
                    let mut store = Store {
                        path,
                        db: memory(),
                        memory: Some(why),
                        tried_disk: Timestamp::now(),
                        whole: false,
                        compacted: None,
                    };
                    if let Some(why) = broken {
                        let loss = set_aside_loss(why);
                        store.write(|t| t.push_loss(&loss));
                    }
                    return Ok(store);
                }
            }
        }
        // Set aside once and broken again: no third try helps.
        Ok(Store {
            path,
            db: memory(),
            memory: broken,
            tried_disk: Timestamp::now(),
            whole: false,
            compacted: None,
        })
    }

    pub(super) fn in_memory(&self) -> Option<&str> {
        self.memory.as_deref()
    }

    pub(super) fn bytes(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |m| m.len())
    }

    /// Looks at the tables; what is written is thrown away.
    pub(super) fn read<T>(&self, mut f: impl FnMut(&mut Txn<'_>) -> Result<T, Fault>) -> Result<T, Fault> {
        let txn = self.db.begin_write()?;
        let result = Txn::open(&txn).and_then(|mut t| f(&mut t));
        txn.abort()?;
        result
    }

    /// One transaction. When the disk fails, it is done once more in memory,
    /// so that the work goes on; `f` may run twice.
    pub(super) fn write<T: Default>(&mut self, mut f: impl FnMut(&mut Txn<'_>) -> Result<T, Fault>) -> T {
        match commit(&self.db, &mut f) {
            Ok(t) => {
                if self.bytes() > COMPACT_AT && self.compacted.is_none_or(|t| t.elapsed() > COMPACT_EVERY) {
                    self.compact();
                }
                t
            }
            Err(fault) if self.memory.is_none() => {
                tracing::error!(%fault, "the ledger cannot be written; it is kept in memory meanwhile");
                self.move_to_memory(fault.to_string());
                commit(&self.db, &mut f).unwrap_or_else(|fault| {
                    tracing::error!(%fault, "the ledger in memory failed");
                    T::default()
                })
            }
            Err(fault) => {
                tracing::error!(%fault, "the ledger in memory failed");
                T::default()
            }
        }
    }

    /// Goes on in memory, with all that the file still gives.
    fn move_to_memory(&mut self, why: String) {
        let fresh = memory();
        // After an I/O error redb refuses everything until it is opened anew.
        let failed = std::mem::replace(&mut self.db, memory());
        drop(failed);
        self.whole = match builder().open(&self.path) {
            Ok(db) => copy(&db, &fresh).is_ok(),
            Err(_) => false,
        };
        self.db = fresh;
        self.memory = Some(why);
        self.tried_disk = Timestamp::now();
    }

    /// Back to the disk, if that works again: everything is written to a new
    /// file, which takes the old one's place.
    fn move_to_disk(&mut self) -> Result<(), Fault> {
        let new = self.path.with_extension("redb.new");
        let _ = std::fs::remove_file(&new);
        let result = (|| {
            let dir = self.path.parent().unwrap_or(Path::new("/"));
            make_dir(dir)?;
            private(&new)?;
            let db = builder().create(&new).map_err(|e| Fault::Redb(e.into()))?;
            // What was on disk when it failed and could not be read then.
            if !self.whole
                && let Ok(old) = builder().open(&self.path)
            {
                copy(&old, &db)?;
            }
            copy(&self.db, &db)?;
            File::open(&new)?.sync_all()?;
            std::fs::rename(&new, &self.path)?;
            File::open(dir)?.sync_all()?;
            Ok(db)
        })();
        match result {
            Ok(db) => {
                self.db = db;
                self.memory = None;
                self.whole = true;
                tracing::info!("the ledger is on disk again");
                Ok(())
            }
            Err(fault) => {
                let _ = std::fs::remove_file(&new);
                Err(fault)
            }
        }
    }

    pub(super) fn maintain(&mut self, now: Timestamp) {
        if self.memory.is_some() {
            let since = now.duration_since(self.tried_disk);
            if since < TRY_DISK && since > -TRY_DISK {
                return;
            }
            self.tried_disk = now;
            if let Err(fault) = self.move_to_disk() {
                tracing::debug!(%fault, "the ledger stays in memory");
            }
        }
        let dropped: u64 = self.write(|t| t.take_dropped());
        if dropped > 0 {
            tracing::warn!(dropped, "the oldest transitions were dropped: the hub has not taken them");
        }
        // A file that is mostly holes is made small long before it has to be.
        if self.bytes() > (8 << 20).max(self.stored().saturating_mul(2)) {
            self.compact();
        }
    }

    /// Bytes that are really used.
    fn stored(&self) -> u64 {
        let stats = self.db.begin_write().map_err(Fault::from).and_then(|t| {
            let stats = t.stats().map_err(Fault::from).map(|s| s.stored_bytes() + s.metadata_bytes());
            t.abort()?;
            stats
        });
        stats.unwrap_or(u64::MAX)
    }

    fn compact(&mut self) {
        if self.memory.is_some() {
            return;
        }
        self.compacted = Some(Instant::now());
        if let Err(e) = self.db.compact() {
            tracing::warn!(error = %e, "the ledger could not be compacted");
        }
    }
}

enum Opening {
    InUse,
    /// Not a ledger that can be used.
    Broken(String),
    /// The disk or its permissions.
    Disk(String),
}

fn builder() -> Builder {
    let mut b = Database::builder();
    b.set_cache_size(CACHE);
    b
}

fn memory() -> Database {
    // Without a disk there is nothing that could fail but memory itself.
    match builder().create_with_backend(InMemoryBackend::new()) {
        Ok(db) => db,
        Err(e) => unreachable!("redb in memory: {e}"),
    }
}

fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Makes the file, for its owner alone.
fn private(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))
}

fn open_disk(dir: &Path, path: &Path) -> Result<Database, Opening> {
    make_dir(dir).and_then(|()| private(path)).map_err(|e| Opening::Disk(e.to_string()))?;
    // redb asserts on some corrupt files: a panic is one more way to be one.
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let mut db = match builder().create(path) {
            Ok(db) => db,
            Err(DatabaseError::DatabaseAlreadyOpen) => return Err(Opening::InUse),
            Err(e) => return Err(opening(e.into())),
        };
        db.check_integrity().map_err(|e| opening(e.into()))?;
        let known = commit(&db, &mut |t| {
            let version: Option<u32> = t.meta("version")?;
            if version.is_none() {
                t.put_meta("version", &VERSION)?;
            }
            // A file of another program, or of a newer version of this one.
            let known = version.unwrap_or(VERSION) == VERSION;
            if known {
                t.each_kept(|_| Ok(()))?;
                t.each_fact(|_, _, _| Ok(()))?;
            }
            Ok(known)
        });
        match known {
            Ok(true) => Ok(db),
            Ok(false) => {
                Err(Opening::Broken("it is of a version that this program does not know".to_owned()))
            }
            Err(Fault::Redb(e)) => Err(opening(e)),
            Err(e) => Err(Opening::Broken(e.to_string())),
        }
    }));
    opened.unwrap_or_else(|_| Err(Opening::Broken("the file is corrupt".to_owned())))
}

fn opening(e: redb::Error) -> Opening {
    match e {
        redb::Error::DatabaseAlreadyOpen => Opening::InUse,
        redb::Error::Io(e) if e.kind() == io::ErrorKind::InvalidData => Opening::Broken(e.to_string()),
        redb::Error::Io(e) if e.kind() == io::ErrorKind::UnexpectedEof => Opening::Broken(e.to_string()),
        redb::Error::Io(e) => Opening::Disk(e.to_string()),
        e => Opening::Broken(e.to_string()),
    }
}

/// Renames the file out of the way; the oldest such files go.
fn set_aside(dir: &Path, path: &Path) -> io::Result<()> {
    let mut old: Vec<PathBuf> = std::fs::read_dir(dir)?
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("ledger.redb.broken-")))
        .collect();
    old.sort();
    let many = (old.len() + 1).saturating_sub(BROKEN);
    for p in old.iter().take(many) {
        std::fs::remove_file(p)?;
    }
    let now = Timestamp::now().as_millisecond();
    std::fs::rename(path, dir.join(format!("ledger.redb.broken-{now}")))
}

fn set_aside_loss(why: String) -> Loss {
    Loss {
        kind: LossKind::LedgerSetAside,
        at: Timestamp::now(),
        count: 1,
        detail: format!("the ledger could not be read and was set aside: {why}"),
    }
}

fn commit<T>(db: &Database, f: &mut impl FnMut(&mut Txn<'_>) -> Result<T, Fault>) -> Result<T, Fault> {
    let txn = db.begin_write()?;
    let result = Txn::open(&txn).and_then(|mut t| f(&mut t));
    match result {
        Ok(t) => {
            txn.commit()?;
            Ok(t)
        }
        Err(e) => {
            txn.abort()?;
            Err(e)
        }
    }
}

/// Everything of one database into another, in one transaction.
fn copy(from: &Database, to: &Database) -> Result<(), Fault> {
    let source = from.begin_write()?;
    let target = to.begin_write()?;
    {
        let (s, mut t) = (Txn::open(&source)?, Txn::open(&target)?);
        macro_rules! tables {
            ($($name:ident),+) => { $(for row in s.$name.iter()? {
                let (k, v) = row?;
                t.$name.insert(k.value(), v.value())?;
            })+ };
        }
        tables!(meta, names, facts, due_names, due_facts, gone, untold, history, sealed, dead, losses);
        for row in s.uses.iter()? {
            let (k, values) = row?;
            for v in values {
                t.uses.insert(k.value(), v?.value())?;
            }
        }
    }
    target.commit()?;
    source.abort()?;
    Ok(())
}

/// All tables, open in one transaction.
pub(super) struct Txn<'t> {
    meta: Table<'t, &'static str, Bytes>,
    names: Table<'t, &'static str, Bytes>,
    facts: Table<'t, &'static str, Bytes>,
    uses: MultimapTable<'t, &'static str, &'static str>,
    due_names: Table<'t, (i64, &'static str), ()>,
    due_facts: Table<'t, (i64, &'static str), ()>,
    gone: Table<'t, &'static str, Bytes>,
    untold: Table<'t, u64, Bytes>,
    history: Table<'t, (&'static str, u64), Bytes>,
    sealed: Table<'t, u64, Bytes>,
    dead: Table<'t, u64, Bytes>,
    losses: Table<'t, u64, Bytes>,
}

impl<'t> Txn<'t> {
    fn open(txn: &'t redb::WriteTransaction) -> Result<Txn<'t>, Fault> {
        Ok(Txn {
            meta: txn.open_table(META)?,
            names: txn.open_table(NAMES)?,
            facts: txn.open_table(FACTS)?,
            uses: txn.open_multimap_table(USES)?,
            due_names: txn.open_table(NAMES_DUE)?,
            due_facts: txn.open_table(FACTS_DUE)?,
            gone: txn.open_table(GONE_NAMES)?,
            untold: txn.open_table(UNTOLD)?,
            history: txn.open_table(PAST)?,
            sealed: txn.open_table(SEALED)?,
            dead: txn.open_table(DEAD_LETTERS)?,
            losses: txn.open_table(LOSSES)?,
        })
    }

    // ---- meta ----

    pub(super) fn meta<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Fault> {
        decoded(self.meta.get(key)?)
    }

    /// What the last scan said, and the problems that are of no scan.
    pub(super) fn scan_meta(&self) -> Result<super::Meta, Fault> {
        let mut meta: super::Meta = self.meta("scan")?.unwrap_or_default();
        meta.problems.extend(self.meta::<Vec<crate::facts::Problem>>("standing")?.unwrap_or_default());
        Ok(meta)
    }

    pub(super) fn put_meta<T: Serialize>(&mut self, key: &str, value: &T) -> Result<(), Fault> {
        self.meta.insert(key, serde_json::to_vec(value)?.as_slice())?;
        Ok(())
    }

    // ---- names ----

    pub(super) fn kept(&self, name: &str) -> Result<Option<Kept>, Fault> {
        let kept = unpacked(self.names.get(name)?)?;
        kept.map(|k| self.with_filing(k)).transpose()
    }

    /// The filing of a row stands once, among the facts.
    fn with_filing(&self, mut kept: Kept) -> Result<Kept, Fault> {
        if !kept.question.is_empty() {
            kept.row.filing = self.fact(&key(&kept.question))?.map(|f| f.filing);
        }
        Ok(kept)
    }

    pub(super) fn put_kept(&mut self, name: &str, kept: &Kept) -> Result<(), Fault> {
        let mut kept = kept.clone();
        if !kept.question.is_empty() {
            kept.row.filing = None;
        }
        self.names.insert(name, packed(&kept)?.as_slice())?;
        Ok(())
    }

    pub(super) fn remove_kept(&mut self, name: &str) -> Result<Option<Kept>, Fault> {
        unpacked(self.names.remove(name)?)
    }

    pub(super) fn each_kept(&self, mut f: impl FnMut(Kept) -> Result<(), Fault>) -> Result<(), Fault> {
        for row in self.names.iter()? {
            f(self.with_filing(unpack(row?.1.value())?)?)?;
        }
        Ok(())
    }

    pub(super) fn each_kept_mut(
        &mut self,
        mut f: impl FnMut(&mut Txn<'t>, &str, Kept) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        for name in self.all_names()? {
            if let Some(kept) = self.kept(&name)? {
                f(self, &name, kept)?;
            }
        }
        Ok(())
    }

    pub(super) fn all_names(&self) -> Result<Vec<String>, Fault> {
        self.names.iter()?.map(|row| Ok(row?.0.value().to_owned())).collect()
    }

    pub(super) fn names_len(&self) -> Result<u64, Fault> {
        Ok(self.names.len()?)
    }

    // ---- facts ----

    pub(super) fn fact(&self, key: &str) -> Result<Option<Fact>, Fault> {
        if key.is_empty() {
            return Ok(None);
        }
        unpacked(self.facts.get(key)?)
    }

    pub(super) fn put_fact(&mut self, key: &str, fact: &Fact) -> Result<(), Fault> {
        self.facts.insert(key, packed(fact)?.as_slice())?;
        Ok(())
    }

    pub(super) fn each_fact(
        &mut self,
        mut f: impl FnMut(&mut Txn<'t>, &str, Fact) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let keys: Vec<String> =
            self.facts.iter()?.map(|row| Ok(row?.0.value().to_owned())).collect::<Result<_, Fault>>()?;
        for key in keys {
            if let Some(fact) = self.fact(&key)? {
                f(self, &key, fact)?;
            }
        }
        Ok(())
    }

    /// The names that rest on a filing.
    pub(super) fn uses(&self, key: &str) -> Result<Vec<String>, Fault> {
        self.uses.get(key)?.map(|v| Ok(v?.value().to_owned())).collect()
    }

    /// A name rests on this filing from now on; the filing is due if it is new.
    pub(super) fn use_fact(&mut self, key: &str, name: &str) -> Result<(), Fault> {
        self.uses.insert(key, name)?;
        if self.facts.get(key)?.is_none() {
            let fact = Fact::new();
            self.due_facts.insert((millis(fact.asking.due), key), ())?;
            self.put_fact(key, &fact)?;
        }
        Ok(())
    }

    /// A name does not rest on it any more; what nobody needs goes.
    pub(super) fn unuse_fact(&mut self, key: &str, name: &str) -> Result<(), Fault> {
        self.uses.remove(key, name)?;
        if self.uses.get(key)?.is_empty()
            && let Some(fact) = unpacked::<Fact>(self.facts.remove(key)?)?
        {
            self.due_facts.remove((millis(fact.asking.due), key))?;
        }
        Ok(())
    }

    // ---- due ----

    pub(super) fn put_due(
        &mut self,
        table: DueTable,
        old: Timestamp,
        new: Timestamp,
        key: &str,
    ) -> Result<(), Fault> {
        let t = self.due_table(table);
        t.remove((millis(old), key))?;
        t.insert((millis(new), key), ())?;
        Ok(())
    }

    pub(super) fn remove_due(&mut self, table: DueTable, at: Timestamp, key: &str) -> Result<(), Fault> {
        self.due_table(table).remove((millis(at), key))?;
        Ok(())
    }

    fn due_table(&mut self, table: DueTable) -> &mut Table<'t, (i64, &'static str), ()> {
        match table {
            DueTable::Names => &mut self.due_names,
            DueTable::Facts => &mut self.due_facts,
        }
    }

    pub(super) fn due(&mut self, table: DueTable, now: Timestamp, most: usize) -> Result<Vec<String>, Fault> {
        let t = self.due_table(table);
        let upto = (millis(now) + 1, "");
        t.range::<(i64, &str)>(..upto)?.take(most).map(|row| Ok(row?.0.value().1.to_owned())).collect()
    }

    pub(super) fn due_len(&mut self, table: DueTable, now: Timestamp) -> Result<u64, Fault> {
        let t = self.due_table(table);
        let upto = (millis(now) + 1, "");
        Ok(t.range::<(i64, &str)>(..upto)?.count() as u64)
    }

    pub(super) fn next_due(&mut self, table: DueTable) -> Result<Option<Timestamp>, Fault> {
        let t = self.due_table(table);
        Ok(t.first()?.and_then(|row| Timestamp::from_millisecond(row.0.value().0).ok()))
    }

    // ---- names that are gone ----

    pub(super) fn remember_gone(&mut self, name: &str, gone: &Gone) -> Result<(), Fault> {
        while self.gone.len()? >= GONE && self.gone.pop_first()?.is_some() {}
        self.gone.insert(name, serde_json::to_vec(gone)?.as_slice())?;
        Ok(())
    }

    pub(super) fn recall_gone(&mut self, name: &str) -> Result<Option<Gone>, Fault> {
        decoded(self.gone.remove(name)?)
    }

    // ---- transitions ----

    pub(super) fn push_transition(&mut self, transition: &Transition) -> Result<(), Fault> {
        let number = self.next_number("transitions")?;
        let value = packed(transition)?;
        self.untold.insert(number, value.as_slice())?;
        let bytes = self.meta::<u64>(UNTOLD_NOW)?.unwrap_or(0) + value.len() as u64;
        self.put_meta(UNTOLD_NOW, &bytes)?;
        if bytes > UNTOLD_BYTES {
            self.drop_oldest(transition.at)?;
        }
        let bare = Transition { row: None, ..transition.clone() };
        let name = transition.name.as_str();
        self.history.insert((name, number), packed(&bare)?.as_slice())?;
        let of_name = self.history.range((name, 0)..=(name, u64::MAX))?.count();
        if of_name > HISTORY_OF_NAME {
            let oldest = self.history.range((name, 0)..=(name, u64::MAX))?.next().transpose()?;
            if let Some(number) = oldest.map(|(k, _)| k.value().1) {
                self.history.remove((name, number))?;
            }
        }
        // Now and then, since it looks at all of them.
        if self.history.len()? > HISTORY + HISTORY / 10 {
            self.prune_history()?;
        }
        Ok(())
    }

    fn next_number(&mut self, what: &str) -> Result<u64, Fault> {
        let number: u64 = self.meta::<u64>(what)?.unwrap_or(0) + 1;
        self.put_meta(what, &number)?;
        Ok(number)
    }

    pub(super) fn history(&self, name: &str) -> Result<Vec<Transition>, Fault> {
        self.history.range((name, 0)..=(name, u64::MAX))?.map(|row| unpack(row?.1.value())).collect()
    }

    /// Names with the oldest transitions lose them first.
    fn prune_history(&mut self) -> Result<(), Fault> {
        let len = self.history.len()?;
        if len <= HISTORY {
            return Ok(());
        }
        let mut numbers: Vec<u64> =
            self.history.iter()?.map(|r| Ok(r?.0.value().1)).collect::<Result<_, Fault>>()?;
        numbers.sort_unstable();
        let keep_from = numbers.get((len - HISTORY) as usize).copied().unwrap_or(0);
        self.history.retain(|(_, number), _| number >= keep_from)?;
        Ok(())
    }

    pub(super) fn untold_len(&self) -> Result<u64, Fault> {
        Ok(self.untold.len()?)
    }

    pub(super) fn oldest_untold(&self) -> Result<Option<Timestamp>, Fault> {
        match self.untold.first()? {
            Some((_, v)) => Ok(Some(unpack::<Transition>(v.value())?.at)),
            None => Ok(None),
        }
    }

    /// Transitions that no sealed report tells, in order.
    pub(super) fn untold_from(&self, from: u64) -> Result<Vec<(u64, Transition)>, Fault> {
        self.untold
            .range(from..)?
            .map(|row| {
                let (k, v) = row?;
                Ok((k.value(), unpack(v.value())?))
            })
            .collect()
    }

    pub(super) fn forget_untold(&mut self, numbers: &[u64]) -> Result<(), Fault> {
        let mut bytes = self.meta::<u64>(UNTOLD_NOW)?.unwrap_or(0);
        for n in numbers {
            if let Some(v) = self.untold.remove(n)? {
                bytes = bytes.saturating_sub(v.value().len() as u64);
            }
        }
        self.put_meta(UNTOLD_NOW, &bytes)
    }

    /// Drops the oldest, down to three quarters of the bound, so that this is
    /// not done for every one; the loss is noted.
    fn drop_oldest(&mut self, now: Timestamp) -> Result<(), Fault> {
        let mut bytes = self.meta::<u64>(UNTOLD_NOW)?.unwrap_or(0);
        let mut dropped = 0;
        while bytes > UNTOLD_BYTES / 4 * 3 {
            let Some((_, v)) = self.untold.pop_first()? else { break };
            bytes = bytes.saturating_sub(v.value().len() as u64);
            dropped += 1;
        }
        self.put_meta(UNTOLD_NOW, &bytes)?;
        self.put_meta(DROPPED, &(self.meta::<u64>(DROPPED)?.unwrap_or(0) + dropped))?;
        self.push_loss(&Loss {
            kind: LossKind::TransitionsDropped,
            at: now,
            count: dropped,
            detail: "the oldest transitions were dropped to keep the ledger below its ceiling".to_owned(),
        })
    }

    /// How many were dropped since this was asked last, for the log.
    fn take_dropped(&mut self) -> Result<u64, Fault> {
        let dropped = self.meta::<u64>(DROPPED)?.unwrap_or(0);
        if dropped > 0 {
            self.put_meta(DROPPED, &0_u64)?;
        }
        Ok(dropped)
    }

    // ---- losses ----

    pub(super) fn push_loss(&mut self, loss: &Loss) -> Result<(), Fault> {
        // The same kind of loss again adds to the one that is not told yet.
        let same = self.losses()?.into_iter().find(|(_, l)| l.kind == loss.kind && l.detail == loss.detail);
        let (number, loss) = match same {
            Some((n, l)) => (n, Loss { count: l.count + loss.count, ..l }),
            None => (self.next_number("losses")?, loss.clone()),
        };
        self.losses.insert(number, serde_json::to_vec(&loss)?.as_slice())?;
        Ok(())
    }

    pub(super) fn losses(&self) -> Result<Vec<(u64, Loss)>, Fault> {
        self.losses
            .iter()?
            .map(|row| {
                let (k, v) = row?;
                Ok((k.value(), serde_json::from_slice(v.value())?))
            })
            .collect()
    }

    pub(super) fn forget_losses(&mut self, numbers: &[u64]) -> Result<(), Fault> {
        for n in numbers {
            self.losses.remove(n)?;
        }
        Ok(())
    }

    // ---- sealed reports ----

    pub(super) fn first_letter(&self) -> Result<Option<(u64, Letter)>, Fault> {
        match self.sealed.first()? {
            Some((k, v)) => Ok(Some((k.value(), serde_json::from_slice(v.value())?))),
            None => Ok(None),
        }
    }

    pub(super) fn put_letter(&mut self, sequence: u64, letter: &Letter) -> Result<(), Fault> {
        self.sealed.insert(sequence, serde_json::to_vec(letter)?.as_slice())?;
        Ok(())
    }

    pub(super) fn take_letter(&mut self, sequence: u64) -> Result<Option<Letter>, Fault> {
        decoded(self.sealed.remove(sequence)?)
    }

    /// Everything sealed goes; it is sealed anew from what is untold.
    pub(super) fn unseal(&mut self) -> Result<(), Fault> {
        while self.sealed.pop_first()?.is_some() {}
        Ok(())
    }

    pub(super) fn bury(&mut self, sequence: u64, why: &str) -> Result<(), Fault> {
        while self.dead.len()? >= DEAD && self.dead.pop_first()?.is_some() {}
        self.dead.insert(sequence, serde_json::to_vec(why)?.as_slice())?;
        Ok(())
    }

    pub(super) fn dead_len(&self) -> Result<u64, Fault> {
        Ok(self.dead.len()?)
    }
}

fn decoded<T: DeserializeOwned>(value: Option<redb::AccessGuard<'_, Bytes>>) -> Result<Option<T>, Fault> {
    value.map(|v| Ok(serde_json::from_slice(v.value())?)).transpose()
}

/// The values of which there is one a name: JSON, deflated to about a third. A
/// report of 10,000 names is not much slower for it, and the file stays small.
fn packed<T: Serialize>(value: &T) -> Result<Vec<u8>, Fault> {
    let mut to = DeflateEncoder::new(Vec::new(), Compression::fast());
    serde_json::to_writer(&mut to, value)?;
    Ok(to.finish()?)
}

fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    let mut json = Vec::with_capacity(bytes.len() * 3);
    // A corrupt value must not unfold without end.
    DeflateDecoder::new(bytes).take(VALUE_MOST).read_to_end(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}

fn unpacked<T: DeserializeOwned>(value: Option<redb::AccessGuard<'_, Bytes>>) -> Result<Option<T>, Fault> {
    value.map(|v| unpack(v.value())).transpose()
}

fn millis(t: Timestamp) -> i64 {
    t.as_millisecond()
}

/// A question as a key: its names, separated by spaces (no name holds one).
pub(super) fn key(question: &[String]) -> String {
    question.join(" ")
}

pub(super) fn question(key: &str) -> Vec<String> {
    key.split(' ').map(str::to_owned).collect()
}

/// Judges a name and writes it; its transition, where there is one, in the
/// same transaction.
pub(super) fn settle(
    t: &mut Txn<'_>,
    name: &str,
    kept: &mut Kept,
    fact: Option<&Fact>,
    now: Timestamp,
    out: &mut Vec<Transition>,
) -> Result<(), Fault> {
    remember::expire_exposure(kept, now);
    if let Some((from, to)) = kept.judge(fact) {
        let transition = transition(name, from, Some(to), Some(&kept.row), now);
        t.push_transition(&transition)?;
        out.push(transition);
    }
    t.put_kept(name, kept)
}

pub(super) fn transition(
    name: &str,
    from: Option<Standing>,
    to: Option<Standing>,
    row: Option<&crate::facts::Row>,
    now: Timestamp,
) -> Transition {
    Transition {
        id: uuid::Uuid::now_v7().to_string(),
        at: now,
        name: name.to_owned(),
        from,
        to,
        row: row.cloned().map(Box::new),
    }
}

/// Keeps the aggregate in step with one row.
pub(super) fn recount(s: &mut Summary, before: Option<Verdict>, after: Option<Verdict>) {
    fn of(s: &mut Summary, v: Verdict) -> &mut usize {
        match v {
            Verdict::Compliant => &mut s.compliant,
            Verdict::Violation => &mut s.violation,
            Verdict::Suspected => &mut s.suspected,
            Verdict::Dormant => &mut s.dormant,
            Verdict::Unconfirmed => &mut s.unconfirmed,
            Verdict::NotApplicable => &mut s.not_applicable,
        }
    }
    if let Some(v) = before {
        let n = of(s, v);
        *n = n.saturating_sub(1);
        s.names = s.names.saturating_sub(1);
    }
    if let Some(v) = after {
        *of(s, v) += 1;
        s.names += 1;
    }
}

/// After a clock that jumped back: nothing waits longer than its own time.
pub(super) fn pull_in(t: &mut Txn<'_>, policy: &Freshness, now: Timestamp) -> Result<(), Fault> {
    let limit = |d: Duration| now + d;
    t.each_kept_mut(|t, name, mut kept| {
        let most = limit(policy.dns_max);
        if !kept.question.is_empty() && kept.dns.due > most {
            t.put_due(DUE_NAMES, kept.dns.due, most, name)?;
            kept.dns.due = most;
            t.put_kept(name, &kept)?;
        }
        Ok(())
    })?;
    t.each_fact(|t, key, mut fact| {
        let most = limit(remember::holds(&fact.filing, policy));
        if fact.asking.due > most {
            t.put_due(DUE_FACTS, fact.asking.due, most, key)?;
            fact.asking.due = most;
            t.put_fact(key, &fact)?;
        }
        Ok(())
    })
}
