//! The tables of question sets, their runs and results.

use astrolabe_kernel::{
    Error, Id, Result, Timestamp, Tx, args,
    db::{Dialect, FromRow, Row},
    jobs::{JobError, JobState},
    principal::TenantId,
};

use super::{Question, QuestionResult, QuestionSet, QuestionSetRun, RunFigures, Verdict};

const SET: &str = "s.id, s.name, s.description, s.sources, s.version, s.created_by, s.created_at, s.updated_at,
                   (SELECT COUNT(*) FROM question_set_questions q WHERE q.set_id = s.id) AS question_count";
const RUN: &str = "id, set_id, job_id, state, error_code, error_message, set_version, total, done, right_count, figures, started_by, created_at, finished_at";

impl FromRow for QuestionSet {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            name: row.get("name")?,
            description: row.get("description")?,
            sources: row.json("sources")?,
            question_count: row.get("question_count")?,
            version: row.get("version")?,
            last_run: None,
            created_by: row.get("created_by")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    }
}

impl FromRow for QuestionSetRun {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            question_set_id: row.id("set_id")?,
            set_version: row.get("set_version")?,
            job_id: row.id("job_id")?,
            state: JobState::parse(&row.get::<String>("state")?)?,
            error: JobError::of_row(row)?,
            total: row.get("total")?,
            done: row.get("done")?,
            right: row.get("right_count")?,
            figures: if row.is_null("figures")? { None } else { Some(row.json("figures")?) },
            started_by: row.get("started_by")?,
            created_at: row.time("created_at")?,
            finished_at: row.optional_time("finished_at")?,
        })
    }
}

impl FromRow for Question {
    fn from_row(row: &Row) -> Result<Self> {
        row.json("question")
    }
}

impl FromRow for QuestionResult {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            question: row.json("question")?,
            verdict: match row.get::<Option<String>>("verdict")? {
                Some(text) => Some(serde_json::from_value(text.into()).map_err(Error::internal)?),
                None => None,
            },
            answer: row.get::<Option<String>>("answer")?.unwrap_or_default(),
            documents: if row.is_null("documents")? { Vec::new() } else { row.json("documents")? },
            milliseconds: row.get("milliseconds")?,
        })
    }
}

/// One set, with its newest run that ended.
pub async fn get(tx: &mut Tx, tenant: TenantId, id: Id<QuestionSet>) -> Result<Option<QuestionSet>> {
    let set: Option<QuestionSet> =
        tx.optional(format!("SELECT {SET} FROM question_sets s WHERE s.tenant_id = $1 AND s.id = $2"), args![tenant, id]).await?;
    let Some(mut set) = set else { return Ok(None) };
    set.last_run = last_run(tx, tenant, id).await?;
    Ok(Some(set))
}

/// One set, to be changed in this transaction.
pub async fn lock(tx: &mut Tx, tenant: TenantId, id: Id<QuestionSet>) -> Result<Option<QuestionSet>> {
    if tx.dialect() == Dialect::Postgres {
        tx.optional::<String>("SELECT id FROM question_sets WHERE tenant_id = $1 AND id = $2 FOR UPDATE", args![tenant, id]).await?;
    }
    get(tx, tenant, id).await
}

async fn last_run(tx: &mut Tx, tenant: TenantId, id: Id<QuestionSet>) -> Result<Option<QuestionSetRun>> {
    tx.optional(
        format!("SELECT {RUN} FROM question_set_runs WHERE tenant_id = $1 AND set_id = $2 AND state = 'ready' ORDER BY id DESC LIMIT 1"),
        args![tenant, id],
    )
    .await
}

/// Sets by age, oldest first, after the cursor; up to `limit + 1` rows.
pub async fn page(tx: &mut Tx, tenant: TenantId, after: &str, limit: i64) -> Result<Vec<QuestionSet>> {
    let mut sets: Vec<QuestionSet> = tx
        .all(
            format!("SELECT {SET} FROM question_sets s WHERE s.tenant_id = $1 AND s.id > $2 ORDER BY s.id LIMIT $3"),
            args![tenant, after, limit + 1],
        )
        .await?;
    for set in &mut sets {
        set.last_run = last_run(tx, tenant, set.id).await?;
    }
    Ok(sets)
}

/// Adds a set without its questions.
pub async fn insert(tx: &mut Tx, tenant: TenantId, set: &QuestionSet) -> Result<()> {
    tx.execute(
        "INSERT INTO question_sets (id, tenant_id, name, description, sources, version, created_by, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        args![
            set.id,
            tenant,
            &set.name,
            &set.description,
            serde_json::json!(set.sources),
            set.version,
            &set.created_by,
            set.created_at,
            set.updated_at
        ],
    )
    .await?;
    Ok(())
}

/// Writes a set's changeable fields and its version.
pub async fn update(tx: &mut Tx, tenant: TenantId, set: &QuestionSet) -> Result<()> {
    tx.execute(
        "UPDATE question_sets SET name = $1, description = $2, sources = $3, version = $4, updated_at = $5 WHERE tenant_id = $6 AND id = $7",
        args![&set.name, &set.description, serde_json::json!(set.sources), set.version, set.updated_at, tenant, set.id],
    )
    .await?;
    Ok(())
}

/// Removes a set with its questions, runs and results.
pub async fn delete(tx: &mut Tx, tenant: TenantId, id: Id<QuestionSet>) -> Result<()> {
    tx.execute("DELETE FROM question_sets WHERE tenant_id = $1 AND id = $2", args![tenant, id]).await?;
    Ok(())
}

/// A set's questions in their order.
pub async fn questions(tx: &mut Tx, tenant: TenantId, id: Id<QuestionSet>) -> Result<Vec<Question>> {
    tx.all("SELECT question FROM question_set_questions WHERE tenant_id = $1 AND set_id = $2 ORDER BY ordinal", args![tenant, id]).await
}

/// Puts other questions in the place of a set's.
pub async fn replace_questions(tx: &mut Tx, tenant: TenantId, id: Id<QuestionSet>, questions: &[Question]) -> Result<()> {
    tx.execute("DELETE FROM question_set_questions WHERE tenant_id = $1 AND set_id = $2", args![tenant, id]).await?;
    for (ordinal, question) in questions.iter().enumerate() {
        insert_question(tx, tenant, id, ordinal, question).await?;
    }
    Ok(())
}

/// Adds a question at a place.
pub async fn insert_question(tx: &mut Tx, tenant: TenantId, id: Id<QuestionSet>, ordinal: usize, question: &Question) -> Result<()> {
    tx.execute(
        "INSERT INTO question_set_questions (set_id, ordinal, tenant_id, name, question) VALUES ($1, $2, $3, $4, $5)",
        args![id, ordinal, tenant, &question.id, serde_json::to_value(question).map_err(Error::internal)?],
    )
    .await?;
    Ok(())
}

/// Adds a run and a result to come for each question.
pub async fn insert_run(tx: &mut Tx, tenant: TenantId, run: &QuestionSetRun, questions: &[Question]) -> Result<()> {
    tx.execute(
        "INSERT INTO question_set_runs (id, tenant_id, set_id, job_id, state, set_version, total, done, right_count, started_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, $8, $9)",
        args![
            run.id,
            tenant,
            run.question_set_id,
            run.job_id,
            run.state.as_str(),
            run.set_version,
            run.total,
            &run.started_by,
            run.created_at
        ],
    )
    .await?;
    for (ordinal, question) in questions.iter().enumerate() {
        tx.execute(
            "INSERT INTO question_set_results (run_id, ordinal, tenant_id, question) VALUES ($1, $2, $3, $4)",
            args![run.id, ordinal, tenant, serde_json::to_value(question).map_err(Error::internal)?],
        )
        .await?;
    }
    Ok(())
}

/// One run of a set, or of any set.
pub async fn run(tx: &mut Tx, tenant: TenantId, set: Option<Id<QuestionSet>>, id: Id<QuestionSetRun>) -> Result<Option<QuestionSetRun>> {
    let set = set.map_or_else(String::new, |s| s.to_string());
    tx.optional(
        format!("SELECT {RUN} FROM question_set_runs WHERE tenant_id = $1 AND id = $2 AND ($3 = '' OR set_id = $3)"),
        args![tenant, id, set],
    )
    .await
}

/// A set's runs, newest first, after the cursor; up to `limit + 1` rows.
pub async fn runs(tx: &mut Tx, tenant: TenantId, set: Id<QuestionSet>, after: &str, limit: i64) -> Result<Vec<QuestionSetRun>> {
    tx.all(
        format!(
            "SELECT {RUN} FROM question_set_runs WHERE tenant_id = $1 AND set_id = $2 AND ($3 = '' OR id < $3) ORDER BY id DESC LIMIT $4"
        ),
        args![tenant, set, after, limit + 1],
    )
    .await
}

/// A set's newest runs that are ready, oldest of them first.
pub async fn ready_runs(tx: &mut Tx, tenant: TenantId, set: Id<QuestionSet>, limit: i64) -> Result<Vec<QuestionSetRun>> {
    let mut runs: Vec<QuestionSetRun> = tx
        .all(
            format!(
                "SELECT {RUN} FROM question_set_runs WHERE tenant_id = $1 AND set_id = $2 AND state = 'ready' ORDER BY id DESC LIMIT $3"
            ),
            args![tenant, set, limit],
        )
        .await?;
    runs.reverse();
    Ok(runs)
}

/// Writes where a run stands.
pub async fn set_run_state(
    tx: &mut Tx,
    tenant: TenantId,
    id: Id<QuestionSetRun>,
    state: JobState,
    error: Option<&JobError>,
    figures: Option<&RunFigures>,
    now: Timestamp,
) -> Result<()> {
    let figures = figures.map(|f| serde_json::to_string(f).map_err(Error::internal)).transpose()?;
    tx.execute(
        "UPDATE question_set_runs SET state = $1, error_code = $2, error_message = $3, figures = $4, finished_at = $5 WHERE tenant_id = $6 AND id = $7",
        args![
            state.as_str(),
            error.map(|e| e.code.clone()),
            error.map(|e| e.message.clone()),
            figures,
            state.is_over().then_some(now),
            tenant,
            id
        ],
    )
    .await?;
    Ok(())
}

/// The results of a run in the order of the questions.
pub async fn results(tx: &mut Tx, tenant: TenantId, run: Id<QuestionSetRun>) -> Result<Vec<QuestionResult>> {
    tx.all(
        "SELECT question, verdict, answer, documents, milliseconds FROM question_set_results WHERE tenant_id = $1 AND run_id = $2 ORDER BY ordinal",
        args![tenant, run],
    )
    .await
}

/// Keeps what became of a question, and counts it. A question that has a verdict already keeps it.
pub async fn put_result(
    tx: &mut Tx,
    tenant: TenantId,
    run: Id<QuestionSetRun>,
    ordinal: usize,
    verdict: Verdict,
    result: &QuestionResult,
) -> Result<()> {
    let changed = tx
        .execute(
            "UPDATE question_set_results SET verdict = $1, answer = $2, documents = $3, milliseconds = $4
             WHERE tenant_id = $5 AND run_id = $6 AND ordinal = $7 AND verdict IS NULL",
            args![verdict.as_str(), &result.answer, serde_json::json!(result.documents), result.milliseconds, tenant, run, ordinal],
        )
        .await?;
    if changed == 1 {
        tx.execute(
            "UPDATE question_set_runs SET done = done + 1, right_count = right_count + $1 WHERE tenant_id = $2 AND id = $3",
            args![i64::from(verdict.is_right()), tenant, run],
        )
        .await?;
    }
    Ok(())
}

/// The names of the sets that a person made or ran, at most a thousand.
pub async fn made_by(tx: &mut Tx, tenant: TenantId, principal: &str) -> Result<Vec<String>> {
    let sql = "SELECT name FROM question_sets WHERE tenant_id = $1 AND (created_by = $2 OR id IN
                   (SELECT set_id FROM question_set_runs WHERE tenant_id = $1 AND started_by = $2)) ORDER BY name LIMIT 1000";
    tx.all(sql, args![tenant, principal]).await
}

/// Puts another name for a person into sets and runs. Returns in how many.
pub async fn rename_person(tx: &mut Tx, tenant: TenantId, principal: &str, name: &str) -> Result<u64> {
    let sets = tx
        .execute("UPDATE question_sets SET created_by = $3 WHERE tenant_id = $1 AND created_by = $2", args![tenant, principal, name])
        .await?;
    let runs = "UPDATE question_set_runs SET started_by = $3 WHERE tenant_id = $1 AND started_by = $2";
    Ok(sets + tx.execute(runs, args![tenant, principal, name]).await?)
}
