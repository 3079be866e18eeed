//! How far the work is: a bar with rate and remaining time on a terminal, plain lines elsewhere.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::output::{Output, is_terminal};

/// A line for every so many things when nobody looks at a terminal.
const EVERY: usize = 100;

/// The display of one command.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    output: Output,
    what: &'static str,
    total: usize,
    done: AtomicUsize,
}

impl Progress {
    /// For `total` things; `what` is what they are called, such as `files`.
    pub(super) fn new(output: Output, what: &'static str, total: usize) -> Self {
        let bar = (is_terminal() && !output.json).then(|| {
            let bar = ProgressBar::new(total as u64);
            let style = ProgressStyle::with_template(&format!("{{bar:32.cyan/blue}} {{pos}}/{{len}} {what}  {{per_sec}}  {{eta}} left"))
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style);
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { bar, output, what, total, done: AtomicUsize::new(0) }
    }

    /// Counts things that are done.
    pub(super) fn step(&self, count: usize) {
        let before = self.done.fetch_add(count, Ordering::Relaxed);
        let now = before + count;
        match &self.bar {
            Some(bar) => bar.inc(count as u64),
            None if before / EVERY != now / EVERY => self.output.note(format!("{now} of {} {} done", self.total, self.what)),
            None => {}
        }
    }

    /// Takes the display away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
