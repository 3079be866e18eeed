//! Whatever is done to a sealed chain is found; with `TEST_POSTGRES_URI` these run on PostgreSQL.

use serde_json::json;

use super::{
    Outcome, Record, Sealer, SigningKey,
    archive::Archive,
    verify::{Anchor, Report, verify, verify_archive},
};
use crate::{Principal, Random, args, http::Trace, testing::TestKernel};

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
