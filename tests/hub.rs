//! The hub: one contract, kept on both stores.

mod ingest;
mod maintain;
mod poller;
mod routes;

use std::future::Future;

use crate::harness::provider::On;

/// Runs a test on a runtime of its own.
pub fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

/// Makes a test for each store from one body.
#[macro_export]
macro_rules! on_both_stores {
    ($($(#[$m:meta])* $name:ident),+ $(,)?) => {
        mod on_sqlite { $(#[test] $(#[$m])* fn $name() { $crate::hub::run(super::$name($crate::hub::SQLITE)); })+ }
        mod on_postgres { $(#[test] $(#[$m])* fn $name() { $crate::hub::run(super::$name($crate::hub::POSTGRES)); })+ }
    };
}

pub const SQLITE: On = On::Sqlite;
pub const POSTGRES: On = On::Postgres;
