//! Random configurations, read here and served by the real server: both must
//! say the same.

pub mod apache;
