//! The hub of the tests as a program, for the container test: `test_hub
//! ADDRESS TOKEN` prints each report that it takes as one line of JSON.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    dead_code,
    reason = "a part of the tests, which say what is wrong by panicking"
)]

#[path = "../tests/harness/hub.rs"]
mod hub;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, at, token] = args.as_slice() else { panic!("usage: test_hub ADDRESS TOKEN") };
    let hub = hub::Hub::start(at, token, true);
    eprintln!("listens on {}", hub.at);
    loop {
        std::thread::park();
    }
}
