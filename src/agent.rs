//! The daemon: watch, timers, signals and drain, around the rooms above.
