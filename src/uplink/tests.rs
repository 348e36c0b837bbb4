//! The courier, lookups and enrolment against a hub that does as it is told, over real
//! HTTP, with an outbox in memory.

mod courier;
mod enrolling;
mod hub;
mod keys;
mod lookup;
mod outbox;

use hub::{Hub, Say};
use outbox::Memory;
