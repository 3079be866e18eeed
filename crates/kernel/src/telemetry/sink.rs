//! Where log lines go: a thread of its own behind a bounded queue. Whoever logs never waits for a disk, a terminal or a pipe; what
//! does not fit or cannot be written is dropped and counted in `log_lines_dropped_total`.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Write},
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{Clock, Result, Timestamp, error::code};

/// Bytes of lines that wait at most.
const MAX_QUEUED: usize = 8 * 1024 * 1024;

/// Bytes written at once at most.
const MAX_BATCH: usize = 256 * 1024;

/// How long the end of the process waits for the last lines.
const LAST_WORDS: Duration = Duration::from_secs(2);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The queue; clones are the same one.
#[derive(Clone)]
pub(super) struct Sink(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
    idle: Condvar,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    /// Bytes of the lines above and of those being written.
    bytes: usize,
    dropped: u64,
    closed: bool,
}

impl Sink {
    /// Starts the thread. `note` makes the line that says how many were dropped.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(mut output: Output, note: impl Fn(u64) -> Vec<u8> + Send + 'static) -> Result<Self> {
        let sink = Self(Arc::default());
        let shared = sink.0.clone();
        let run = move || {
            while let Some((batch, bytes, dropped)) = shared.take() {
                let lost = output.write(&batch);
                if dropped > 0 {
                    output.write(&note(dropped));
                }
                if lost > 0 {
                    ::metrics::counter!("log_lines_dropped_total", "reason" => "write_failed").increment(lost);
                }
                shared.written(bytes);
            }
        };
        std::thread::Builder::new().name("log".to_owned()).spawn(run)?;
        Ok(sink)
    }

    /// Hands over a line that ends with a line break; drops it when the queue is full.
    pub fn push(&self, line: Vec<u8>) {
        let mut state = self.0.lock();
        if state.closed || state.bytes + line.len() > MAX_QUEUED {
            state.dropped += 1;
            drop(state);
            ::metrics::counter!("log_lines_dropped_total", "reason" => "queue_full").increment(1);
            return;
        }
        state.bytes += line.len();
        state.lines.push_back(line);
        drop(state);
        self.0.work.notify_one();
    }

    /// Waits until everything handed over has been written, or for two seconds. Returns whether it was.
    pub fn flush(&self) -> bool {
        let (state, timeout) =
            self.0.idle.wait_timeout_while(self.0.lock(), LAST_WORDS, |state| state.bytes > 0).unwrap_or_else(PoisonError::into_inner);
        drop(state);
        !timeout.timed_out()
    }

    /// Writes what is there and ends the thread.
    pub fn close(&self) {
        self.0.lock().closed = true;
        self.0.work.notify_one();
        self.flush();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines; nothing when the queue is closed and empty. Gives the lines, their bytes, and how many were dropped before.
    fn take(&self) -> Option<(Vec<u8>, usize, u64)> {
        let mut state = self.work.wait_while(self.lock(), |s| s.lines.is_empty() && !s.closed).unwrap_or_else(PoisonError::into_inner);
        let mut batch = Vec::new();
        while let Some(line) = state.lines.pop_front_if(|line| batch.is_empty() || batch.len() + line.len() <= MAX_BATCH) {
            batch.extend_from_slice(&line);
        }
        let (bytes, dropped) = (batch.len(), std::mem::take(&mut state.dropped));
        (bytes > 0).then_some((batch, bytes, dropped))
    }

    fn written(&self, bytes: usize) {
        let mut state = self.lock();
        state.bytes -= bytes;
        if state.bytes == 0 {
            self.idle.notify_all();
        }
    }
}

/// Where lines are written.
pub(super) enum Output {
    /// One stream, such as standard error.
    Stream(Box<dyn Write + Send>),
    /// A file a day; what cannot be written there goes to the stream.
    Daily(Daily, Box<dyn Write + Send>),
}

impl Output {
    /// Writes lines; returns how many were lost.
    fn write(&mut self, lines: &[u8]) -> u64 {
        match self {
            Self::Stream(stream) => count_lines(write_some(stream, lines)),
            Self::Daily(daily, stream) => count_lines(write_some(stream, daily.write(lines))),
        }
    }
}

/// Writes as much as can be written and returns the rest. Never fails: there is nobody left to tell.
fn write_some<'a>(to: &mut (impl Write + ?Sized), mut lines: &'a [u8]) -> &'a [u8] {
    while !lines.is_empty() {
        match to.write(lines) {
            Ok(0) => break,
            Ok(n) => lines = &lines[n..],
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    let _ = to.flush();
    lines
}

fn count_lines(rest: &[u8]) -> u64 {
    rest.iter().filter(|b| **b == b'\n').count() as u64
}

/// Files `astrolabe.<day>.log` in a folder, one a day (UTC), of which those of the last days are kept.
pub(super) struct Daily {
    folder: PathBuf,
    keep_days: u32,
    clock: Clock,
    day: String,
    file: Option<File>,
    /// The last write left half a line, which the next must not be glued to.
    torn: bool,
}

impl Daily {
    /// Opens today's file, so that a folder that cannot be written is known at the start.
    ///
    /// # Errors
    /// `invalid_config` when the folder cannot be made or written.
    pub fn open(folder: PathBuf, keep_days: u32, clock: Clock) -> Result<Self> {
        let day = day_of(clock.now());
        let mut daily = Self { folder, keep_days: keep_days.max(1), clock, day: String::new(), file: None, torn: false };
        daily.turn_to(day).map_err(|e| {
            let what = format!("log.dir: {} cannot be written: {e}", daily.folder.display());
            crate::Error::new(code::INVALID_CONFIG, what)
        })?;
        Ok(daily)
    }

    /// Writes lines to today's file; returns what could not be written, from the beginning of its line.
    fn write<'a>(&mut self, lines: &'a [u8]) -> &'a [u8] {
        let day = day_of(self.clock.now());
        // A file that could not be written is opened anew each time: the disk may have been freed, the folder made again.
        if (day != self.day || self.file.is_none()) && self.turn_to(day).is_err() {
            return lines;
        }
        let Some(file) = &mut self.file else { return lines };
        if self.torn && !write_some(file, b"\n").is_empty() {
            self.file = None;
            return lines;
        }
        let rest = write_some(file, lines);
        let written = &lines[..lines.len() - rest.len()];
        self.torn = written.last().is_some_and(|b| *b != b'\n');
        if rest.is_empty() {
            return rest;
        }
        self.file = None;
        let line_start = written.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        &lines[line_start..]
    }

    fn turn_to(&mut self, day: String) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let mut options = File::options();
        options.append(true).create(true);
        // Readable for a log shipper of the same group, and for nobody else.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
        self.file = Some(options.open(self.folder.join(format!("astrolabe.{day}.log")))?);
        if day != self.day {
            self.day = day;
            self.prune();
        }
        Ok(())
    }

    /// Removes our files of days that are no longer kept. One that cannot be removed stays until tomorrow's attempt.
    fn prune(&self) {
        let oldest = day_of(self.clock.now().minus(DAY.saturating_mul(self.keep_days - 1)));
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let day = name.to_str().and_then(|n| n.strip_prefix("astrolabe.")).and_then(|n| n.strip_suffix(".log"));
            let is_day = |d: &&str| {
                d.len() == 10 && d.bytes().enumerate().all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() })
            };
            if day.filter(is_day).is_some_and(|day| *day < *oldest) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

/// The day of a moment in UTC, `2026-01-31`.
fn day_of(now: Timestamp) -> String {
    now.to_string().chars().take(10).collect()
}
