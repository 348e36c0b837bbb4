//! A bar on stderr for a pass that takes longer than a second.

use std::io::IsTerminal;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::audit::{Progress, Stage};
use crate::config::Lang;

use super::Call;

/// Shorter passes show nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// The bar; gone when dropped.
pub struct Bar {
    bar: ProgressBar,
    lang: Lang,
    waiter: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Bar {
    /// A bar that shows itself after a second, if stderr is a terminal and
    /// nothing else is written there.
    pub fn start(call: &Call, lang: Lang) -> Bar {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let wanted = std::io::stderr().is_terminal() && !call.quiet && call.verbose == 0;
        let waiter = wanted.then(|| {
            let (stop, stopped) = mpsc::channel();
            let shown = bar.clone();
            let thread = std::thread::spawn(move || {
                if stopped.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                    shown.set_draw_target(ProgressDrawTarget::stderr());
                    shown.enable_steady_tick(Duration::from_millis(200));
                }
            });
            (stop, thread)
        });
        Bar { bar, lang, waiter }
    }
}

impl Progress for Bar {
    fn begin(&self, stage: Stage, steps: usize) {
        let what = match stage {
            Stage::Reading => self.lang.pick("读取配置", "reading configuration"),
            Stage::Resolving => self.lang.pick("查询 DNS", "asking DNS"),
            Stage::Filings => self.lang.pick("查询备案", "asking registries"),
        };
        let template =
            if steps == 0 { "{spinner} {msg} {elapsed}" } else { "{spinner} {msg} {pos}/{len} {elapsed}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.tick_chars("-\\|/ "));
        }
        self.bar.set_position(0);
        if steps > 0 {
            self.bar.set_length(steps as u64);
        }
        self.bar.set_message(what);
    }

    fn step(&self, _: Stage) {
        self.bar.inc(1);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.waiter.take() {
            drop(stop);
            // The thread only waits and cannot fail.
            let _ = thread.join();
        }
        self.bar.finish_and_clear();
    }
}
