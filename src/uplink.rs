//! Between agent and hub: push (enrol, sign, retry) and serve (the polling API).

pub mod serve;
