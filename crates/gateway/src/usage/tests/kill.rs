//! `kill -9` in the middle of calls: every request that reached the provider has one record afterwards.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use astrolabe_kernel::{Clock, Db, Kernel, db::KERNEL};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::*;

/// Times that the process is killed.
const ROUNDS: usize = 8;

/// Requests that reach the provider before it is.
const REQUESTS: usize = 120;

/// Calls at the same time.
const AT_ONCE: u64 = 16;

/// Which folder and which provider the child works with.
const CHILD: &str = "ASTROLABE_TEST_KILL";

/// The handles of a process of its own on a database that stays.
async fn kernel(test: &TestKernel, folder: &Path) -> Kernel {
    let db = Db::open(&format!("sqlite://{}", folder.join("kill.db").display()), 4).await.unwrap();
    db.migrate(&[KERNEL, MIGRATIONS], &Clock::System, false).await.unwrap();
    Kernel { db, clock: Clock::System, ..test.kernel.clone() }
}

async fn ledger(kernel: Kernel, folder: &Path) -> Ledger {
    Ledger::open(kernel, &folder.join("usage"), Prices::parse(PRICES).unwrap()).await.unwrap()
}

/// What the provider saw: requests by their ids, and those whose end was recorded as the child says.
#[derive(Default)]
struct Seen {
    asked: BTreeSet<String>,
    ended: BTreeSet<String>,
}

/// A provider that counts. `ask ID` is answered with tokens, `end ID` is what the child says when it has finished.
async fn provider(listener: TcpListener, seen: Arc<Mutex<Seen>>, count: watch::Sender<usize>, lifecycle: astrolabe_kernel::Lifecycle) {
    while let Ok((socket, _)) = listener.accept().await {
        let (seen, count) = (seen.clone(), count.clone());
        lifecycle.spawn("provider", async move {
            let mut socket = BufReader::new(socket);
            let mut line = String::new();
            while socket.read_line(&mut line).await.is_ok_and(|n| n > 0) {
                let (word, id) = line.trim().split_once(' ').unwrap();
                if word == "ask" {
                    assert!(seen.lock().unwrap().asked.insert(id.to_owned()), "{id} was asked twice");
                    count.send_modify(|n| *n += 1);
                    if socket.get_mut().write_all(b"77 33\n").await.is_err() {
                        return;
                    }
                } else {
                    seen.lock().unwrap().ended.insert(id.to_owned());
                }
                line.clear();
            }
        });
    }
}

/// The process that is killed: it calls models until it is. Does nothing when it is not started by the test below.
#[tokio::test]
async fn a_process_that_is_killed() {
    let Some((_, what)) = std::env::vars().find(|(name, _)| name == CHILD) else { return };
    let (address, folder) = what.split_once(' ').unwrap();
    let test = TestKernel::new(&[]).await;
    let kernel = kernel(&test, Path::new(folder)).await;
    let ledger = ledger(kernel.clone(), Path::new(folder)).await;
    ledger.start();
    let calls = (0..AT_ONCE).map(|_| async {
        let mut socket = BufReader::new(TcpStream::connect(address).await.unwrap());
        loop {
            let who = Who { tenant: default_tenant(), principal: "user:a".to_owned(), key: String::new(), agent: String::new() };
            let tokens = Usage { input: 5, ..Usage::default() };
            let call =
                ledger.begin(who, Wanted { purpose: Purpose::Api, alias: "a", provider: "p", model: "small", tokens }).await.unwrap();
            let attempt = call.attempt("p", "small").unwrap();
            let id = attempt.id();
            socket.get_mut().write_all(format!("ask {id}\n").as_bytes()).await.unwrap();
            let mut line = String::new();
            socket.read_line(&mut line).await.unwrap();
            let (input, output) = line.trim().split_once(' ').unwrap();
            attempt.finish(Outcome::Ok, Some(Usage { input: input.parse().unwrap(), output: output.parse().unwrap(), ..Usage::default() }));
            socket.get_mut().write_all(format!("end {id}\n").as_bytes()).await.unwrap();
        }
    });
    futures_util::future::join_all(calls).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_reached_the_provider_has_one_record_however_often_the_process_is_killed() {
    let test = TestKernel::new(&[]).await;
    let folder = test.folder.path().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Seen::default()));
    let (count, mut asked) = watch::channel(0);
    let life = test.kernel.lifecycle.clone();
    life.spawn("provider", provider(listener, seen.clone(), count, life.clone()));
    for round in 1..=ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "usage::tests::kill::a_process_that_is_killed", "--nocapture"])
            .env(CHILD, format!("{address} {}", folder.display()))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        asked.wait_for(|n| *n >= round * REQUESTS).await.unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // The next start writes what is missing; one more finds nothing left to do.
    let kernel = kernel(&test, &folder).await;
    for _ in 0..2 {
        ledger(kernel.clone(), &folder).await.flush().await.unwrap();
    }
    let mut tx = kernel.db.read_all().await.unwrap();
    let rows: Vec<String> =
        tx.all("SELECT id || ' ' || outcome || ' ' || input_tokens || ' ' || output_tokens FROM usage_records", args![]).await.unwrap();
    let records: BTreeMap<&str, &str> = rows.iter().map(|r| r.split_once(' ').unwrap()).collect();
    assert_eq!(records.len(), rows.len(), "a request has one record");
    let sum: i64 = tx.one("SELECT CAST(SUM(requests) AS BIGINT) FROM usage_days", args![]).await.unwrap();
    let seen = seen.lock().unwrap();
    for id in &seen.asked {
        let record = records.get(id.as_str()).unwrap_or_else(|| panic!("{id} reached the provider and has no record"));
        assert!(*record == "ok 77 33" || *record == "cut 5 0" && !seen.ended.contains(id), "{id}: {record}");
    }
    let cut = records.values().filter(|r| r.starts_with("cut")).count();
    assert!(cut > 0 && cut <= ROUNDS * AT_ONCE as usize, "{cut} of {} were cut", records.len());
    assert_eq!(sum, rows.len() as i64, "the sums are of the same records");
}
