//! What only the engine on PostgreSQL has: the graph over vectors, and servers on which it cannot be used.

use astrolabe_kernel::{Db, Tx, args, db::Scope, testing::database_url};

use super::{PostgresIndex, Tenant, dense::graph_settings, filter::Condition, text};
use crate::analysis::Lang;
use crate::index::tests::engines::{Random, postgres};
use crate::index::{Filter, Hit, IndexChunk, IndexDocument, IndexError, SearchIndex};

const DIMS: usize = 24;
const DOCUMENTS: usize = 400;

/// A document of ten chunks near a few subjects. Every document has the source of its number's last two digits, one in ten is Polish.
fn document(number: usize, subjects: &[Vec<f32>], random: &mut Random) -> IndexDocument {
    let chunks = (0..10).map(|i| {
        let subject = &subjects[random.below(subjects.len())];
        IndexChunk {
            chunk_id: format!("c{number:04}{i}"),
            lang: if number % 10 == 3 { Lang::Pl } else { Lang::En },
            page: None,
            title: String::new(),
            text: if number.is_multiple_of(50) { "a lighthouse".to_owned() } else { String::new() },
            vector: Some(subject.iter().map(|x| x + 0.5 * random.normal()).collect()),
        }
    });
    IndexDocument {
        tenant: "a".to_owned(),
        source_id: format!("s{:02}", number % 100),
        document_id: format!("d{number:04}"),
        version: 1,
        mime: "text/plain".to_owned(),
        tags: vec![format!("t{}", number % 7)],
        readers: number.is_multiple_of(2).then(|| vec!["anna".to_owned()]),
        updated_at: i64::try_from(number).unwrap(),
        chunks: chunks.collect(),
    }
}

fn filters() -> Vec<(&'static str, Filter)> {
    let all = Filter::tenant("a");
    let list = |text: &str| Some(vec![text.to_owned()]);
    vec![
        ("everything", all.clone()),
        ("one source of a hundred", Filter { sources: list("s07"), ..all.clone() }),
        ("one document", Filter { documents: list("d0123"), ..all.clone() }),
        ("what anna reads", Filter { readers: list("anna"), ..all.clone() }),
        ("what is for everybody", Filter { readers: Some(Vec::new()), ..all.clone() }),
        ("a tag", Filter { tags: list("t3"), ..all.clone() }),
        ("a language", Filter { lang: Some(Lang::Pl), ..all.clone() }),
        ("a tag and a language", Filter { tags: list("t3"), lang: Some(Lang::Pl), ..all.clone() }),
        ("since a moment", Filter { updated_from: Some(390), ..all.clone() }),
        ("a required word", Filter { all_of: vec![vec!["lighthous".to_owned()]], ..all.clone() }),
        ("an excluded word", Filter { none_of: vec!["lighthous".to_owned()], ..all }),
    ]
}

fn ids(hits: &[Hit]) -> Vec<&str> {
    hits.iter().map(|hit| hit.chunk_id.as_str()).collect()
}

#[tokio::test]
async fn the_graph_finds_what_comparing_all_finds_whatever_share_a_filter_leaves() {
    let Some((db, _folder)) = postgres().await else { return };
    let whole = PostgresIndex { exact: i64::MAX, ..PostgresIndex::open(db, "minilm", "1", DIMS).await.unwrap() };
    // The limit from which the graph is built and used is lowered; everything else is as it is for many.
    let graph = PostgresIndex { exact: 1, ..whole.clone() };
    let mut random = Random(21);
    let subjects: Vec<Vec<f32>> = (0..40).map(|_| (0..DIMS).map(|_| random.normal()).collect()).collect();
    let documents: Vec<IndexDocument> = (0..DOCUMENTS).map(|n| document(n, &subjects, &mut random)).collect();
    graph.replace_documents(documents).await.unwrap();
    whole.maintain().await.unwrap();
    assert!(!graph.has_graph(&mut graph.snapshot().await.unwrap()).await.unwrap(), "below the limit none is built");
    graph.maintain().await.unwrap();
    assert!(graph.has_graph(&mut graph.snapshot().await.unwrap()).await.unwrap());
    // Some that come and go once it is there.
    graph.replace_documents((0..5).map(|n| IndexDocument { version: 2, ..document(n, &subjects, &mut random) }).collect()).await.unwrap();
    graph.delete_document("a", "d0107").await.unwrap();
    let queries: Vec<Vec<f32>> = (0..10).map(|i| subjects[i * 4].iter().map(|x| x + 0.4 * random.normal()).collect()).collect();
    for (name, filter) in filters() {
        let (mut wanted, mut met) = (0, 0);
        for query in &queries {
            let exact = whole.dense(&filter, query, 10).await.unwrap();
            let found = graph.dense(&filter, query, 10).await.unwrap();
            assert!(!exact.is_empty(), "{name}");
            assert_eq!(found.len(), exact.len(), "{name}");
            assert!(found.is_sorted_by(|a, b| a.score >= b.score), "{name}");
            let exact = ids(&exact);
            wanted += exact.len();
            met += ids(&found).iter().filter(|id| exact.contains(id)).count();
        }
        assert!(met * 100 >= wanted * 98, "{name}: {met} of {wanted}");
    }
    assert!(graph.dense(&Filter { sources: Some(Vec::new()), ..Filter::tenant("a") }, &queries[0], 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn with_a_filter_too_the_plan_walks_the_graph_and_sorts_nothing() {
    let Some((db, _folder)) = postgres().await else { return };
    let index = PostgresIndex { exact: 1, ..PostgresIndex::open(db, "minilm", "1", DIMS).await.unwrap() };
    let mut random = Random(22);
    let subjects: Vec<Vec<f32>> = (0..10).map(|_| random.vector(DIMS)).collect();
    index.replace_documents((0..100).map(|n| document(n, &subjects, &mut random)).collect()).await.unwrap();
    index.maintain().await.unwrap();
    for (name, filter) in filters() {
        let (mut tx, Tenant { number, .. }) = index.of_tenant("a").await.unwrap().unwrap();
        tx.one::<String>(graph_settings(10), &[]).await.unwrap();
        let (sql, args) = index.graph_query(&Condition::new(&filter, number), &text::vector(&subjects[0]), 10);
        let plan: Vec<String> = tx.all(format!("EXPLAIN {sql}"), &args).await.unwrap();
        let plan = plan.join("\n");
        assert!(plan.contains(&format!("Index Scan using {}", index.names.hnsw)), "{name}:\n{plan}");
        // The few that the graph gives are sorted behind it.
        let candidates = plan.split("CTE near").nth(1).unwrap();
        let candidates = candidates.lines().take_while(|line| !line.starts_with("  ->  ")).collect::<Vec<_>>().join("\n");
        assert!(!candidates.contains("Sort") && !candidates.contains("Seq Scan"), "{name}:\n{plan}");
    }
}

/// A database whose sessions begin with what `prepare` sets up, when there is a server for tests.
async fn prepared(prepare: &[&str]) -> Option<(Db, tempfile::TempDir)> {
    let folder = tempfile::tempdir().unwrap();
    let url = database_url(folder.path()).await;
    if !url.starts_with("postgres") {
        return None;
    }
    let plain = Db::open(&url, 1).await.unwrap();
    let mut tx = plain.write_schema().await.unwrap();
    for statement in prepare {
        tx.execute((*statement).to_owned(), &[]).await.unwrap();
    }
    tx.commit().await.unwrap();
    Some((Db::open(&url, 2).await.unwrap(), folder))
}

/// Puts our tables before the server's own of the same name.
const OURS_FIRST: &str = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database()); END $$";

async fn refusal(db: Db) -> String {
    match PostgresIndex::open(db, "minilm", "1", DIMS).await {
        Err(IndexError::Unusable { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_without_pgvector_is_refused_with_the_way_out_and_still_searches_words() {
    let none = "CREATE TABLE pg_available_extensions (name TEXT, default_version TEXT)";
    let Some((db, _folder)) = prepared(&[none, OURS_FIRST]).await else { return };
    assert_eq!(
        refusal(db.clone()).await,
        "the PostgreSQL server has no extension `vector`: install pgvector 0.8 or newer on the PostgreSQL server, or set \
         knowledge.index_engine to embedded"
    );
    // Without an embedding model nothing of pgvector is needed.
    let words = PostgresIndex::open(db, "words", "1", 0).await.unwrap();
    assert_eq!(words.stats().await.unwrap().documents, 0);
}

#[tokio::test]
async fn a_pgvector_that_is_too_old_is_refused_with_the_way_out() {
    let old = "CREATE TABLE pg_extension AS SELECT CAST('vector' AS TEXT) AS extname, CAST('0.7.4' AS TEXT) AS extversion";
    let Some((db, _folder)) = prepared(&[old, OURS_FIRST]).await else { return };
    let reason = refusal(db).await;
    assert!(reason.contains("version 0.7.4") && reason.contains("pgvector 0.8") && reason.contains("knowledge.index_engine"), "{reason}");
}

#[tokio::test]
async fn who_may_not_create_the_extension_is_told_what_a_superuser_has_to_run() {
    let role = "DO $$ BEGIN CREATE ROLE astrolabe_test_plain; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";
    let rights = "DO $$ BEGIN
        EXECUTE format('GRANT CREATE ON DATABASE %I TO astrolabe_test_plain', current_database());
        EXECUTE 'GRANT CREATE ON SCHEMA public TO astrolabe_test_plain';
        EXECUTE format('ALTER DATABASE %I SET role = astrolabe_test_plain', current_database()); END $$";
    let Some((db, _folder)) = prepared(&[role, rights]).await else { return };
    let reason = refusal(db.clone()).await;
    assert!(reason.contains("permission denied to create extension"), "{reason}");
    assert!(reason.contains("let a superuser run `CREATE EXTENSION vector` in this database"), "{reason}");
    assert!(reason.contains("knowledge.index_engine to embedded"), "{reason}");
    assert!(!reason.contains('\n') && !reason.contains("error returned from database"), "{reason}");
    // Once a superuser has run it, the role needs no more rights.
    let mut tx = db.write_schema().await.unwrap();
    tx.execute("SET LOCAL role = none".to_owned(), &[]).await.unwrap();
    tx.execute("CREATE EXTENSION vector".to_owned(), &[]).await.unwrap();
    tx.commit().await.unwrap();
    PostgresIndex::open(db, "minilm", "1", DIMS).await.unwrap();
}

#[tokio::test]
async fn row_level_security_keeps_a_tenant_out_of_anothers_rows_in_every_table_of_the_index() {
    let folder = tempfile::tempdir().unwrap();
    let url = database_url(folder.path()).await;
    if !url.starts_with("postgres") {
        return;
    }
    let db = Db::open(&url, 2).await.unwrap();
    let index = PostgresIndex::open(db.clone(), "minilm", "1", DIMS).await.unwrap();
    assert_eq!(db.second_fence(), astrolabe_kernel::db::SecondFence::Up);
    let mut random = Random(5);
    let subjects = [random.vector(DIMS)];
    for tenant in ["a", "b"] {
        let documents: Vec<IndexDocument> = (0..3).map(|n| document(n, &subjects, &mut random)).collect();
        index.replace_documents(documents.into_iter().map(|d| IndexDocument { tenant: tenant.to_owned(), ..d }).collect()).await.unwrap();
        index.delete_document(tenant, "d0001").await.unwrap();
    }
    let count = async |tx: &mut Tx, table: &str| tx.one::<i64>(format!("SELECT COUNT(*) FROM {table}"), &[]).await.unwrap();
    for table in index.names.tables() {
        let all = count(&mut db.read_all().await.unwrap(), table).await;
        let of = async |tenant: &str| count(&mut db.read(Scope::named(tenant).unwrap()).await.unwrap(), table).await;
        let (a, b, nobody) = (of("a").await, of("b").await, of("nobody").await);
        assert!(a > 0 && b > 0, "{table}: {a}, {b}");
        assert_eq!((a + b, nobody), (all, 0), "{table}");
        let mut tx = db.write(Scope::named("a").unwrap()).await.unwrap();
        let column = if *table == *index.names.tenants { "words" } else { "tenant" };
        let changed = tx.execute(format!("UPDATE {table} SET {column} = {column}"), &[]).await.unwrap();
        let deleted = tx.execute(format!("DELETE FROM {table}"), &[]).await.unwrap();
        assert_eq!((changed, deleted), (a.unsigned_abs(), a.unsigned_abs()), "{table}");
    }
    let mut tx = db.write(Scope::named("a").unwrap()).await.unwrap();
    let other = format!("SELECT COALESCE(MAX(number), 0) + 1 FROM {}", index.names.tenants);
    let other: i64 = tx.one(other, &[]).await.unwrap();
    let insert = format!("INSERT INTO {} (tenant, number) VALUES ($1, 1)", index.names.dead);
    let refused = tx.execute(insert, args![other]).await.unwrap_err();
    assert!(refused.internal_detail().unwrap().contains("row-level security"), "{refused:?}");
}
