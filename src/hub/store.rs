//! Where the hub keeps everything: SQLite (one file, WAL) or PostgreSQL, by
//! URL. One schema and one set of statements for both; where they differ, the
//! difference is here.
//!
//! # What it must hold
//!
//! 1. A receipt is given after the commit that stored its report, never
//!    before: SQLite runs with `synchronous = FULL`.
//! 2. Writers of SQLite queue for one connection; readers have their own and
//!    are never blocked. On PostgreSQL any number of replicas write; a row of
//!    `agents` that is being changed is locked first, in the order of ids.
//! 3. Many rows go in one statement: they are bound as one JSON array and
//!    unfolded by the database ([`Store::table`]), so that a batch of reports
//!    costs a dozen statements.

mod agents;
mod ingest;
mod lease;
mod log;
mod tokens;

use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::migrate::Migrator;
use sqlx::{Any, AnyPool, AssertSqlSafe, Executor as _, Row as _, Transaction};

pub use agents::{Agent, AgentState, Enrolled, NewAgent};
pub use ingest::{Arrival, Beat, Outcome};
pub use lease::Lease;
pub use log::Entry;
pub use tokens::{ApiToken, EnrolToken, Scope, TokenFault, hash_of, new_secret};

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// How long a statement waits for a lock, and a caller for a connection.
const PATIENCE: Duration = Duration::from_secs(20);
/// Connections to PostgreSQL, and readers of SQLite.
const CONNECTIONS: u32 = 16;

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One file.
    Sqlite,
    /// A server.
    Postgres,
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL names no store that we know.
    #[error("[store] url: expected sqlite://PATH or postgres://…")]
    Url,
    /// Its schema is of a newer hub, or was changed by hand.
    #[error("the store's schema: {0}")]
    Schema(String),
    /// The database itself.
    #[error("the store: {0}")]
    Database(#[from] sqlx::Error),
}

/// A transaction.
pub type Tx = Transaction<'static, Any>;

/// The store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    kind: Kind,
    write: AnyPool,
    read: AnyPool,
}

/// The type of a column in [`Store::table`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// TEXT.
    Text,
    /// BIGINT.
    Int,
}

impl Store {
    /// Connects; makes SQLite's file where there is none. Does not migrate.
    pub async fn open(url: &str) -> Result<Store, StoreError> {
        sqlx::any::install_default_drivers();
        let kind = match url.split(':').next() {
            Some("sqlite") => Kind::Sqlite,
            Some("postgres" | "postgresql") => Kind::Postgres,
            _ => return Err(StoreError::Url),
        };
        let options = |most: u32| {
            AnyPoolOptions::new().max_connections(most).acquire_timeout(PATIENCE).after_connect(move |c, _| {
                Box::pin(async move {
                    match kind {
                        Kind::Sqlite => {
                            c.execute(
                                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
                                 PRAGMA busy_timeout = 20000; PRAGMA cache_size = -8000; PRAGMA temp_store = MEMORY; \
                                 PRAGMA journal_size_limit = 67108864",
                            )
                            .await?;
                        }
                        Kind::Postgres => {
                            c.execute("SET statement_timeout = '30s'; SET lock_timeout = '20s'").await?;
                        }
                    }
                    Ok(())
                })
            })
        };
        let (write, read) = match kind {
            Kind::Sqlite => {
                let path = url.trim_start_matches("sqlite://").trim_start_matches("sqlite:");
                let path = path.split('?').next().unwrap_or_default();
                private(path)?;
                let url = format!("sqlite://{path}?mode=rwc");
                (options(1).connect(&url).await?, options(4).connect(&url).await?)
            }
            Kind::Postgres => {
                let pool = options(CONNECTIONS).connect(url).await?;
                (pool.clone(), pool)
            }
        };
        Ok(Store { kind, write, read })
    }

    /// Brings the schema up to this version; several replicas may do so at the
    /// same time.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let done = match self.kind {
            Kind::Sqlite => SQLITE.run(&self.write).await,
            Kind::Postgres => POSTGRES.run(&self.write).await,
        };
        done.map_err(|e| StoreError::Schema(e.to_string()))
    }

    /// Which database it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// For reading: never blocked by a writer.
    pub fn read(&self) -> &AnyPool {
        &self.read
    }

    /// For writing one statement. A transaction: [`Store::begin`].
    pub fn write(&self) -> &AnyPool {
        &self.write
    }

    /// Begins to write. On SQLite the lock is taken at once, so that nothing
    /// read in it is changed by another before it is written.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(match self.kind {
            Kind::Sqlite => self.write.begin_with("BEGIN IMMEDIATE").await?,
            Kind::Postgres => self.write.begin().await?,
        })
    }

    /// ` FOR UPDATE` where rows can be locked; SQLite's writers are alone.
    pub fn for_update(&self) -> &'static str {
        match self.kind {
            Kind::Sqlite => "",
            Kind::Postgres => " FOR UPDATE",
        }
    }

    /// ` FOR UPDATE SKIP LOCKED`, likewise.
    pub fn skip_locked(&self) -> &'static str {
        match self.kind {
            Kind::Sqlite => "",
            Kind::Postgres => " FOR UPDATE SKIP LOCKED",
        }
    }

    /// A table in a FROM clause, made of the JSON array of arrays that is
    /// bound as `$param`.
    pub fn table(&self, param: usize, columns: &[(&str, Column)]) -> String {
        let mut list = String::new();
        for (i, (name, column)) in columns.iter().enumerate() {
            if i > 0 {
                list.push_str(", ");
            }
            match (self.kind, column) {
                (Kind::Sqlite, _) => list.push_str(&format!("json_extract(value, '$[{i}]') AS {name}")),
                (Kind::Postgres, Column::Text) => list.push_str(&format!("(value->>{i}) AS {name}")),
                (Kind::Postgres, Column::Int) => list.push_str(&format!("(value->>{i})::bigint AS {name}")),
            }
        }
        match self.kind {
            Kind::Sqlite => format!("(SELECT {list} FROM json_each(${param}))"),
            Kind::Postgres => {
                format!("(SELECT {list} FROM json_array_elements(${param}::json) AS unfolded(value))")
            }
        }
    }

    /// The next value of a counter, and all before it are taken.
    pub async fn mark(&self, name: &str) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "INSERT INTO marks (name, value) VALUES ($1, 1) \
             ON CONFLICT (name) DO UPDATE SET value = marks.value + 1 RETURNING value",
        )
        .bind(name)
        .fetch_one(&self.write)
        .await?;
        Ok(row.try_get(0)?)
    }

    /// The value of a counter; 0 before it was first taken.
    pub async fn marked(&self, name: &str) -> Result<i64, StoreError> {
        let row = sqlx::query("SELECT value FROM marks WHERE name = $1")
            .bind(name)
            .fetch_optional(&self.read)
            .await?;
        Ok(row.map_or(Ok(0), |r| r.try_get(0))?)
    }

    /// That it answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.read).await?;
        Ok(())
    }

    /// Closes every connection, SQLite's log folded in.
    pub async fn close(&self) {
        if self.kind == Kind::Sqlite {
            let _ = self.write.execute("PRAGMA wal_checkpoint(TRUNCATE)").await;
        }
        self.write.close().await;
        self.read.close().await;
    }
}

/// A statement that was put together here, of our own words alone: what comes
/// from outside is always bound.
pub fn sql(text: String) -> AssertSqlSafe<String> {
    AssertSqlSafe(text)
}

/// Milliseconds since the epoch, now.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Makes SQLite's file for its owner alone: it holds polling tokens.
fn private(path: &str) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let made = std::fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
    made.map(drop).map_err(|e| StoreError::Database(sqlx::Error::Io(e)))
}

/// Text that both databases take: PostgreSQL refuses NUL, and what shows
/// names later wants no control characters either.
pub fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
