//! How long guardrails take on texts of 2 KB: `cargo run --release -p astrolabe-gateway --example guardrails [-- RULE]`. Prints a line of JSON per text.

use std::{hint::black_box, io::Write, time::Instant};

use astrolabe_gateway::guardrails::{Check, Guardrails, GuardrailsConfig, Mode, Rule, Side};
use astrolabe_kernel::{Result, principal::default_tenant};
use serde_json::json;

/// Times that every text is looked at.
const ROUNDS: usize = 20_000;

const ENGLISH: &str = "The nightly backup of the billing database failed at 02:30 because the volume was full. Remove old snapshots, then restart \
     the job with the run book and check that replication caught up before the office opens. ";
const POLISH: &str = "Nocna kopia bazy rozliczeń nie powiodła się o 02:30, bo zabrakło miejsca. Usuń stare migawki, uruchom zadanie ponownie \
     według instrukcji i sprawdź, czy replikacja nadrobiła zaległości przed otwarciem biura. ";
const RUSSIAN: &str = "Ночная копия базы расчётов не удалась в 02:30: закончилось место. Удалите старые снимки, запустите задание снова по \
     инструкции и проверьте, что репликация догнала до открытия офиса. ";
const FOUND: &str = "Write to ann@example.org or +48 600 100 200 about card 4111 1111 1111 1111, PL61 1090 1014 0000 0712 1981 2874, host 10.1.2.3, \
     token ghp_0123456789abcdefghijABCDEFGHIJ012345 and see https://evil.example/x?q=1. Then go on with the usual work of the day. ";
const NUMBERS: &str =
    "12 345.67 2026-12-01 09:30:11 0x1f 1.2.3 100-200-300-400 44051401358 1 2 3 4 5 6 7 8 9 10 11 12 (3) +4 7707083894 node-17 ";

fn rule(name: &str, check: Check, mode: Mode) -> Rule {
    Rule {
        name: name.to_owned(),
        check,
        mode,
        on: vec![Side::Input, Side::Output],
        aliases: Vec::new(),
        tenants: Vec::new(),
        patterns: Vec::new(),
        kinds: Vec::new(),
        max_tokens: None,
        hosts: Vec::new(),
    }
}

fn main() -> Result<()> {
    let words = (0..50)
        .map(|i| format!("(?:project|projekt|проект) secret{i}(?: [a-z]{{1,9}})?"))
        .chain(["ignore (?:all )?previous instructions".to_owned()]);
    let rules = vec![
        Rule { patterns: words.collect(), ..rule("words", Check::Pattern, Mode::Mask) },
        rule("personal", Check::Personal, Mode::Mask),
        Rule { hosts: vec!["example.org".to_owned()], ..rule("links", Check::Links, Mode::Mask) },
        Rule { max_tokens: Some(100_000), ..rule("length", Check::Length, Mode::Block) },
    ];
    // One rule alone, when it is named.
    let only = std::env::args().nth(1);
    let rules = rules.into_iter().filter(|r| only.as_ref().is_none_or(|name| *name == r.name)).collect();
    let rails = Guardrails::new(&GuardrailsConfig { rules })?;
    let mut out = std::io::stdout().lock();
    for (name, sentence) in [("english", ENGLISH), ("polish", POLISH), ("russian", RUSSIAN), ("found", FOUND), ("numbers", NUMBERS)] {
        let mut text: String = sentence.chars().cycle().take(2048).collect();
        while text.len() > 2048 {
            text.pop();
        }
        // Pieces as a model sends them: about four characters.
        let pieces: Vec<String> = text.chars().collect::<Vec<_>>().chunks(4).map(|c| c.iter().collect()).collect();
        let input = times(|| {
            let (mut guard, mut text) = (rails.call("default", default_tenant()), text.clone());
            black_box(guard.input(&mut text).is_ok());
        });
        let output = times(|| {
            let (guard, mut text) = (rails.call("default", default_tenant()), text.clone());
            black_box(guard.output(&mut text).is_ok());
        });
        let streamed = times(|| {
            let mut stream = rails.call("default", default_tenant()).stream();
            for piece in &pieces {
                black_box(stream.push(piece).is_ok());
            }
            black_box(stream.finish().is_ok());
        });
        let line = json!({"text": name, "bytes": text.len(), "pieces": pieces.len(), "input_us": input, "output_us": output, "stream_us": streamed});
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Microseconds: half and ninety-nine of a hundred are at most that.
fn times(mut work: impl FnMut()) -> [f64; 2] {
    (0..ROUNDS / 20).for_each(|_| work());
    let mut all: Vec<u64> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            work();
            u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX)
        })
        .collect();
    all.sort_unstable();
    [50, 99].map(|p| all[all.len() * p / 100] as f64 / 1000.0)
}
