//! Random configurations, read here and served by the real server: every host
//! must be answered by the site that we say.

pub mod apache;
pub mod nginx;
