//! Whatever is done to a sealed chain is found; with `TEST_POSTGRES_URI` these run on PostgreSQL.

use serde_json::json;

use super::{
    Outcome, Record, Sealer, SigningKey,
    archive::Archive,
    erase::AuditPayloads,
    verify::{Anchor, Report, verify, verify_archive},
};
use crate::{
    Principal, Random, args,
    http::Trace,
    personal::{Person, PersonalData},
    principal::default_tenant,
    testing::TestKernel,
};

struct Chain {
    test: TestKernel,
    sealer: Sealer,
    key: SigningKey,
}

impl Chain {
    /// A chain of `n` entries, sealed in two batches and archived.
    async fn new(n: usize) -> Self {
        let test = TestKernel::new(&[]).await;
        let key = SigningKey::load_or_create(&test.folder.path().join("audit.pem"), &Random::seeded(7)).unwrap();
        let sealer = Sealer::new(test.kernel.clone(), key.clone(), Some(Archive::new(test.folder.path())));
        let chain = Self { test, sealer, key };
        for i in 0..n {
            chain.act(i).await;
            if i == n / 2 {
                chain.sealer.seal().await.unwrap();
            }
        }
        chain.sealer.seal().await.unwrap();
        chain.sealer.deliver().await.unwrap();
        chain
    }

    async fn act(&self, i: usize) {
        let kernel = &self.test.kernel;
        let principal = Principal::local_admin();
        let trace = Trace { trace_id: format!("{i:032}"), request_id: format!("r{i}") };
        let record = Record {
            principal: &principal,
            trace: &trace,
            action: "things.change",
            subject: format!("thing {i}"),
            outcome: Outcome::Ok,
            payload: json!({"i": i, "why": "zażółć"}),
        };
        super::record(kernel, record).await.unwrap();
        kernel.clock.advance(std::time::Duration::from_millis(3));
    }

    async fn sql(&self, sql: &'static str) {
        let mut tx = self.test.kernel.db.write_all().await.unwrap();
        assert!(tx.execute(sql, args![]).await.unwrap() > 0, "{sql} changed nothing");
        tx.commit().await.unwrap();
    }

    async fn report(&self, anchor: Option<&str>) -> Report {
        let anchors: Vec<_> = anchor.into_iter().map(|a| (None, a.parse::<Anchor>().unwrap())).collect();
        verify(&self.test.kernel.db, &self.key.public(), &anchors).await.unwrap().remove(0)
    }
}

#[tokio::test]
async fn an_untouched_chain_verifies_from_the_database_and_from_the_archive_alone() {
    let chain = Chain::new(9).await;
    let report = chain.report(None).await;
    assert_eq!((report.verified, report.unsealed, report.defects.len()), (9, 0, 0), "{report:?}");
    let head = report.head.unwrap();
    assert_eq!(chain.report(Some(&head)).await.defects, Vec::<String>::new());
    let (entries, heads) = Archive::read(chain.test.folder.path()).unwrap();
    let reports = verify_archive(entries, heads, &chain.key.public(), &[(None, head.parse().unwrap())]);
    assert_eq!((reports[0].verified, reports[0].defects.clone()), (9, vec![]));
}

#[tokio::test]
async fn any_single_changed_field_is_found() {
    for sql in [
        "UPDATE audit_entries SET actor = 'user:mallory' WHERE seq = 4",
        "UPDATE audit_entries SET action = 'things.read' WHERE seq = 4",
        "UPDATE audit_entries SET subject = 'thing 99' WHERE seq = 4",
        "UPDATE audit_entries SET outcome = 'failed' WHERE seq = 4",
        "UPDATE audit_entries SET trace_id = 'x' WHERE seq = 4",
        "UPDATE audit_entries SET request_id = 'x' WHERE seq = 4",
        "UPDATE audit_entries SET created_at = created_at + 1 WHERE seq = 4",
        "UPDATE audit_entries SET payload = '{}' WHERE seq = 4",
        "UPDATE audit_entries SET payload = payload || ' ' WHERE seq = 4",
        "UPDATE audit_entries SET payload = NULL WHERE seq = 4",
        "UPDATE audit_entries SET payload = NULL, payload_salt = NULL WHERE seq = 4",
        "UPDATE audit_entries SET payload_hash = 'x' WHERE seq = 4",
        "UPDATE audit_entries SET hash = prev_hash WHERE seq = 4",
        "UPDATE audit_entries SET hash = prev_hash WHERE seq = 9",
        "UPDATE audit_entries SET seq = NULL, hash = NULL, prev_hash = NULL WHERE seq = 4",
        "UPDATE audit_entries SET seq = 9223372036854775807 WHERE seq = 4",
        "UPDATE audit_entries SET seq = 9223372036854775806 WHERE seq = 9",
        "UPDATE audit_entries SET seq = -1 WHERE seq = 1",
        "UPDATE audit_checkpoints SET seq = 9223372036854775807 WHERE seq = 9",
        "UPDATE audit_checkpoints SET signature = 'ab' WHERE seq = 9",
        "UPDATE audit_checkpoints SET seq = 8 WHERE seq = 9",
        "UPDATE audit_chains SET seq = 8",
        "DELETE FROM audit_chains",
    ] {
        let chain = Chain::new(9).await;
        chain.sql(sql).await;
        let report = chain.report(None).await;
        assert!(!report.defects.is_empty(), "not found: {sql}");
        assert!(report.verified < 9 || sql.contains("audit_chains"), "{sql}: {report:?}");
    }
}

#[tokio::test]
async fn a_value_that_the_program_never_writes_is_found_as_a_change() {
    let mut changes = vec!["UPDATE audit_entries SET id = 'x' WHERE seq = 4", "UPDATE audit_checkpoints SET tenant_id = 'x'"];
    let chain = Chain::new(1).await;
    if chain.test.kernel.db.dialect() == crate::db::Dialect::Sqlite {
        // Its columns take values of any type.
        changes.extend([
            "UPDATE audit_entries SET created_at = 'soon' WHERE seq = 4",
            "UPDATE audit_entries SET seq = 'many' WHERE seq = 4",
            "UPDATE audit_entries SET actor = x'ff' WHERE seq = 4",
            "UPDATE audit_entries SET payload = x'ff' WHERE seq = 4",
            "UPDATE audit_checkpoints SET seq = 'last' WHERE seq = 9",
            "UPDATE audit_chains SET seq = 1.5",
        ]);
    }
    for sql in changes {
        let chain = Chain::new(9).await;
        chain.sql(sql).await;
        let error = verify(&chain.test.kernel.db, &chain.key.public(), &[]).await.unwrap_err();
        assert_eq!(error.code(), crate::error::code::AUDIT_BROKEN, "{sql}: {error:?}");
    }
}

#[tokio::test]
async fn any_single_removed_entry_is_found_the_last_one_too() {
    for seq in 1..=9 {
        let chain = Chain::new(9).await;
        let mut tx = chain.test.kernel.db.write_all().await.unwrap();
        tx.execute("DELETE FROM audit_entries WHERE seq = $1", args![seq]).await.unwrap();
        tx.commit().await.unwrap();
        assert!(!chain.report(None).await.defects.is_empty(), "entry {seq}");
    }
}

#[tokio::test]
async fn a_chain_cut_back_to_an_older_signed_head_is_found_by_the_anchor() {
    let chain = Chain::new(9).await;
    let head = chain.report(None).await.head.unwrap();
    for sql in [
        "DELETE FROM audit_entries WHERE seq > 5",
        "DELETE FROM audit_checkpoints WHERE seq > 5",
        "UPDATE audit_chains SET seq = 5, hash = (SELECT hash FROM audit_entries WHERE seq = 5)",
    ] {
        chain.sql(sql).await;
    }
    assert_eq!(chain.report(None).await.defects, Vec::<String>::new(), "without an anchor nothing can be seen");
    assert!(!chain.report(Some(&head)).await.defects.is_empty());
}

#[tokio::test]
async fn entries_that_changed_places_are_found() {
    let chain = Chain::new(9).await;
    for sql in [
        "UPDATE audit_entries SET seq = 100 WHERE seq = 3",
        "UPDATE audit_entries SET seq = 3 WHERE seq = 4",
        "UPDATE audit_entries SET seq = 4 WHERE seq = 100",
    ] {
        chain.sql(sql).await;
    }
    assert!(!chain.report(None).await.defects.is_empty());
}

#[tokio::test]
async fn a_chain_recomputed_without_the_key_is_found() {
    let chain = Chain::new(9).await;
    // The attacker changes an entry, recomputes the chain and signs it, but with another key.
    for sql in [
        "UPDATE audit_entries SET actor = 'user:mallory' WHERE seq = 4",
        "UPDATE audit_entries SET seq = NULL, hash = NULL, prev_hash = NULL",
        "DELETE FROM audit_checkpoints",
        "DELETE FROM audit_chains",
    ] {
        chain.sql(sql).await;
    }
    let forged = SigningKey::load_or_create(&chain.test.folder.path().join("forged.pem"), &Random::seeded(8)).unwrap();
    Sealer::new(chain.test.kernel.clone(), forged, None).seal().await.unwrap();
    let report = chain.report(None).await;
    assert!(report.defects.iter().any(|d| d.contains("not signed by the key")), "{report:?}");
}

#[tokio::test]
async fn a_changed_line_of_the_archive_is_found() {
    let chain = Chain::new(9).await;
    let (mut entries, heads) = Archive::read(chain.test.folder.path()).unwrap();
    entries.iter_mut().find(|e| e.seq == Some(2)).unwrap().payload = Some(json!({"i": 77}));
    let reports = verify_archive(entries, heads, &chain.key.public(), &[]);
    assert!(!reports[0].defects.is_empty());
}

#[tokio::test]
async fn archiving_again_after_a_crash_changes_nothing() {
    let chain = Chain::new(9).await;
    chain.sql("UPDATE audit_chains SET archived_seq = 0").await;
    chain.sealer.deliver().await.unwrap();
    let (entries, heads) = Archive::read(chain.test.folder.path()).unwrap();
    assert_eq!(entries.len(), 9);
    assert_eq!(verify_archive(entries, heads, &chain.key.public(), &[])[0].defects, Vec::<String>::new());
}

#[tokio::test]
async fn two_sealers_make_one_chain() {
    let chain = Chain::new(3).await;
    for i in 3..40 {
        chain.act(i).await;
    }
    let other = chain.sealer.clone();
    let (a, b) = tokio::join!(chain.sealer.seal(), other.seal());
    assert_eq!(a.unwrap() + b.unwrap(), 37);
    let report = chain.report(None).await;
    assert_eq!((report.verified, report.defects), (40, vec![]));
}

#[tokio::test]
async fn an_entry_that_is_rolled_back_with_its_action_is_not_in_the_chain() {
    let chain = Chain::new(2).await;
    let kernel = &chain.test.kernel;
    let principal = Principal::local_admin();
    let trace = Trace::background(&kernel.random);
    let mut tx = kernel.db.write_all().await.unwrap();
    let record =
        Record { principal: &principal, trace: &trace, action: "x", subject: String::new(), outcome: Outcome::Ok, payload: json!({}) };
    tx.audit(kernel, record).await.unwrap();
    drop(tx);
    chain.sealer.seal().await.unwrap();
    assert_eq!(chain.report(None).await.verified, 2);
}

#[tokio::test]
async fn a_sealer_does_not_sign_a_chain_that_was_rewritten_under_it() {
    // Whoever has the database but not the key lets the running process sign the change: the last entry is made to wait for its seal again.
    let chain = Chain::new(9).await;
    for sql in [
        "UPDATE audit_entries SET actor = 'user:mallory', seq = NULL, hash = NULL, prev_hash = NULL WHERE seq = 9",
        "DELETE FROM audit_checkpoints WHERE seq = 9",
        "UPDATE audit_chains SET seq = 8, hash = (SELECT hash FROM audit_entries WHERE seq = 8)",
    ] {
        chain.sql(sql).await;
    }
    assert_eq!(chain.sealer.seal().await.unwrap_err().code().name, "audit_broken");
    let report = chain.report(None).await;
    assert_eq!((report.verified, report.unsealed), (8, 1), "{report:?}");
}

#[tokio::test]
async fn a_sealer_goes_on_behind_what_another_process_sealed() {
    let chain = Chain::new(3).await;
    let other = Sealer::new(chain.test.kernel.clone(), chain.key.clone(), None);
    for i in 3..6 {
        chain.act(i).await;
        if i % 2 == 0 {
            chain.sealer.seal().await.unwrap()
        } else {
            other.seal().await.unwrap()
        };
    }
    let report = chain.report(None).await;
    assert_eq!((report.verified, report.defects), (6, vec![]));
}

/// Erases what the log says of the local administrator beyond its id, a few entries at a time.
async fn erase(chain: &Chain) -> u64 {
    let kernel = &chain.test.kernel;
    let payloads = AuditPayloads { kernel: kernel.clone() };
    let person = Person { tenant: default_tenant(), id: "user:local-admin".to_owned(), pseudonym: "erased:x".to_owned() };
    let mut all = 0;
    loop {
        let mut tx = kernel.db.write(default_tenant()).await.unwrap();
        let erased = payloads.erase(&mut tx, &person, 4).await.unwrap();
        tx.commit().await.unwrap();
        kernel.clock.advance(std::time::Duration::from_millis(3));
        if erased == 0 {
            return all;
        }
        all += erased;
    }
}

/// Everything that the archive has on disk.
fn archived(chain: &Chain) -> String {
    let (mut text, mut folders) = (String::new(), vec![chain.test.folder.path().join("audits")]);
    while let Some(folder) = folders.pop() {
        for item in std::fs::read_dir(folder).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() { folders.push(path) } else { text.push_str(&std::fs::read_to_string(path).unwrap()) }
        }
    }
    text
}

#[tokio::test]
async fn erased_payloads_are_gone_from_log_and_archive_and_both_chains_stay_whole() {
    let chain = Chain::new(9).await;
    chain.act(9).await;
    let head = chain.report(None).await.head.unwrap();
    assert!(archived(&chain).contains("zażółć"));
    assert_eq!(erase(&chain).await, 10, "sealed or not");
    let at_once = chain.report(Some(&head)).await;
    assert_eq!((at_once.verified, at_once.erased, at_once.defects), (9, 9, vec![]), "also before the erasure is sealed");
    chain.sealer.seal().await.unwrap();
    chain.sealer.deliver().await.unwrap();

    let report = chain.report(Some(&head)).await;
    assert_eq!((report.verified, report.erased, report.defects), (13, 10, vec![]), "with the three entries that list the erased");
    let left: i64 = {
        let mut tx = chain.test.kernel.db.read_all().await.unwrap();
        tx.one(
            "SELECT COUNT(*) FROM audit_entries WHERE payload LIKE '%why%' OR action <> 'audit.erase' AND payload_salt IS NOT NULL",
            args![],
        )
        .await
        .unwrap()
    };
    assert_eq!(left, 0);
    assert!(!archived(&chain).contains("why"));
    let (entries, heads) = Archive::read(chain.test.folder.path()).unwrap();
    let reports = verify_archive(entries, heads, &chain.key.public(), &[(None, head.parse().unwrap())]);
    assert_eq!((reports[0].verified, reports[0].erased, reports[0].defects.clone()), (13, 10, vec![]));
}

#[tokio::test]
async fn a_payload_that_no_entry_lists_as_erased_is_missing() {
    let chain = Chain::new(9).await;
    erase(&chain).await;
    chain.act(10).await;
    chain.sealer.seal().await.unwrap();
    for sql in [
        "UPDATE audit_entries SET payload = NULL, payload_salt = NULL WHERE seq = 13",
        "UPDATE audit_entries SET payload = '{\"entries\": []}' WHERE seq = 11",
    ] {
        let before = chain.report(None).await.defects.len();
        chain.sql(sql).await;
        assert!(chain.report(None).await.defects.len() > before, "not found: {sql}");
    }
}

#[tokio::test]
async fn the_archive_of_a_process_that_was_down_follows_when_it_starts_again() {
    let chain = Chain::new(9).await;
    erase(&chain).await;
    // Another process seals and notes the entries as archived; this one's archive has not heard of it.
    let other = tempfile::tempdir().unwrap();
    let elsewhere = Sealer::new(chain.test.kernel.clone(), chain.key.clone(), Some(Archive::new(other.path())));
    elsewhere.seal().await.unwrap();
    elsewhere.deliver().await.unwrap();
    assert!(archived(&chain).contains("why"));
    let again = Sealer::new(chain.test.kernel.clone(), chain.key.clone(), Some(Archive::new(chain.test.folder.path())));
    again.deliver().await.unwrap();
    assert!(!archived(&chain).contains("why"));
}
