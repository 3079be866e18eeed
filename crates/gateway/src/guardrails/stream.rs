//! Rules on a reply that comes in pieces: what is settled goes on, the rest is held back until it is, which is a word or two of text and at
//! most a few hundred bytes.

use std::sync::Arc;

use astrolabe_kernel::Result;

use super::{
    Mode, refusal,
    scan::{CONTEXT, Finder, Found, Rules, replacement},
    too_long,
    vault::{LONGEST, Vault},
};
use crate::tokens::Counter;

/// Bytes of what was found that are remembered while its tail is read.
const MAX_VALUE: usize = 64 << 10;

/// The rules, and what of the reply is not settled yet.
pub struct StreamGuard {
    rules: Arc<Rules>,
    vault: Vault,
    count: Counter,
    /// The end of what is done with, then what is not.
    text: String,
    /// Where the second begins.
    done: usize,
    /// What was found whose tail is being read, with its text so far.
    open: Option<(Found, String)>,
    /// Up to where the rules that only count have looked, and the tail that they are in.
    logged: usize,
    logging: Option<Found>,
    /// What went through the rules and may be the beginning of a placeholder.
    ready: String,
}

impl StreamGuard {
    pub(super) fn new(rules: Arc<Rules>, vault: Vault) -> Self {
        Self {
            rules,
            vault,
            count: Counter::default(),
            text: String::new(),
            done: 0,
            open: None,
            logged: 0,
            logging: None,
            ready: String::new(),
        }
    }

    /// Takes the next piece; returns what may go on, which may be empty.
    ///
    /// # Errors
    /// `output_refused`; then nothing more may be sent of the reply.
    pub fn push(&mut self, piece: &str) -> Result<String> {
        if !self.rules.is_empty() {
            self.count.push(piece);
            too_long(&self.rules, self.count.total())?;
        }
        self.take(piece, false)
    }

    /// The reply is over; returns the rest of it.
    ///
    /// # Errors
    /// As [`StreamGuard::push`].
    pub fn finish(&mut self) -> Result<String> {
        self.take("", true)
    }

    fn take(&mut self, piece: &str, last: bool) -> Result<String> {
        if self.rules.is_blind() {
            self.ready.push_str(piece);
        } else {
            self.text.push_str(piece);
            let settled = if last { self.text.len() } else { self.rules.settled(&self.text, self.done) };
            self.log(settled, last);
            self.act(settled, last)?;
            self.forget();
        }
        Ok(self.restored(last))
    }

    /// Applies the rules that act on what begins before `settled`.
    fn act(&mut self, settled: usize, last: bool) -> Result<()> {
        let rules = self.rules.clone();
        let mut finder = Finder::acting(&rules);
        loop {
            if let Some((found, value)) = &mut self.open {
                let (length, ended) = found.tail.take(&self.text[self.done..], last);
                let room = MAX_VALUE.saturating_sub(value.len()).min(length);
                let room = (0..=room).rev().find(|i| self.text[self.done..].is_char_boundary(*i)).unwrap_or(0);
                value.push_str(&self.text[self.done..self.done + room]);
                self.done += length;
                if !ended {
                    return Ok(());
                }
                let masked = replacement(found, value, &mut |kind, _| kind.unnumbered());
                self.ready.push_str(&masked);
                self.open = None;
            }
            match finder.next(&self.text, self.done).filter(|found| found.start < settled) {
                Some(found) => {
                    found.rule.count(rules.side());
                    if found.rule.mode == Mode::Block {
                        return Err(refusal(rules.side(), &found));
                    }
                    self.ready.push_str(&self.text[self.done..found.start]);
                    self.done = found.end;
                    self.open = Some((found.clone(), self.text[found.start..found.end].to_owned()));
                }
                None => {
                    // A tail may have gone beyond what is settled.
                    if settled > self.done {
                        self.ready.push_str(&self.text[self.done..settled]);
                        self.done = settled;
                    }
                    return Ok(());
                }
            }
        }
    }

    /// Counts for the rules that do no more.
    fn log(&mut self, settled: usize, last: bool) {
        if !self.rules.logs() {
            return;
        }
        let rules = self.rules.clone();
        let mut finder = Finder::logging(&rules);
        loop {
            if let Some(found) = &self.logging {
                let (length, ended) = found.tail.take(&self.text[self.logged..], last);
                self.logged += length;
                if !ended {
                    return;
                }
                self.logging = None;
            }
            match finder.next(&self.text, self.logged).filter(|found| found.start < settled) {
                Some(found) => {
                    found.rule.count(rules.side());
                    self.logged = found.end;
                    self.logging = Some(found);
                }
                None => {
                    self.logged = self.logged.max(settled);
                    return;
                }
            }
        }
    }

    /// Lets go of what is done with, but for what may still have a say.
    fn forget(&mut self) {
        let done = if self.rules.logs() { self.done.min(self.logged) } else { self.done };
        let cut = (0..=done.saturating_sub(CONTEXT)).rev().find(|i| self.text.is_char_boundary(*i)).unwrap_or(0);
        if cut > 0 {
            self.text.drain(..cut);
            self.done -= cut;
            self.logged = self.logged.saturating_sub(cut);
        }
    }

    /// What is ready with its placeholders replaced. One that may be cut waits.
    fn restored(&mut self, last: bool) -> String {
        if self.vault.is_empty() {
            return std::mem::take(&mut self.ready);
        }
        let from = (self.ready.len().saturating_sub(LONGEST)..=self.ready.len()).find(|i| self.ready.is_char_boundary(*i)).unwrap_or(0);
        let cut = match self.ready[from..].rfind('[') {
            Some(at) if !last && !self.ready[from + at..].contains(']') => from + at,
            _ => self.ready.len(),
        };
        let rest = self.ready.split_off(cut);
        let ready = std::mem::replace(&mut self.ready, rest);
        self.vault.restore(&ready).unwrap_or(ready)
    }
}
