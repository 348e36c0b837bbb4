//! What the operator of this machine sees while the daemon runs: events in the
//! journal (and a JSON-lines file), metrics, and what systemd is told.
