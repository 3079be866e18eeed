//! Making an answer: retrieve, answer, record each step before it is sent.

use std::time::{Duration, Instant};

use astrolabe_kernel::{
    Error, Id, Result,
    audit::{Record, reads},
    error::code,
    http::Caller,
    work::Running,
};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    ASKS, Answer, Ask, AskRequest, AskState, Citation, Mode,
    cache::{Key, Made},
    model, not_found_text, store,
};
use crate::{
    Knowledge,
    search::{Found, Only, Results, Retrieval, Search, check_question},
    sources::Source,
};

/// Text waits at most this long, or until it is this large, before it becomes an event.
const COALESCE: (Duration, usize) = (Duration::from_millis(50), 1024);

/// Passages whose sentences are looked at when no model is configured.
const EXTRACTIVE_PASSAGES: usize = 24;

impl Knowledge {
    /// Records a question and starts to answer it.
    ///
    /// # Errors
    /// `invalid_request` naming the wrong field; `overloaded` when too many are being answered; `warming_up` while the index loads.
    pub async fn start_ask(&self, caller: &Caller, request: AskRequest) -> Result<Running<Ask, Answer>> {
        check_question("question", &request.question)?;
        let limit = request.limit.unwrap_or(12);
        if !(1..=20).contains(&limit) {
            return Err(Error::field("limit", "must be between 1 and 20"));
        }
        let sources = self.resolve_sources(&caller.principal, request.sources.as_deref()).await?;
        self.index()?;
        let permit = self.asks.clone().try_acquire_owned().map_err(|_| {
            Error::new(code::OVERLOADED, "too many questions are being answered (knowledge.max_asks)")
                .with_retry_after(Duration::from_secs(2))
        })?;
        let (kernel, tenant, now) = (&self.kernel, caller.principal.tenant, self.kernel.now());
        let ask = Ask {
            id: kernel.id(),
            question: request.question,
            state: AskState::Running,
            answer: None,
            trace_id: caller.trace.trace_id.clone(),
            created_at: now,
        };
        let (knowledge, caller, limit) = (self.clone(), caller.clone(), limit as usize);
        let explain = request.explain.unwrap_or(false);
        let record = async move {
            let kernel = knowledge.kernel.clone();
            let mut tx = kernel.db.write(tenant).await?;
            store::insert(&mut tx, tenant, &caller.principal.id, kernel.process, &ask).await?;
            let started = json!({"id": ask.id, "question": ask.question, "trace_id": ask.trace_id});
            tx.append_event(tenant, &ASKS.stream(ask.id), "ask.started", &started, now).await?;
            tx.audit(&kernel, Record::of(&caller, ASKS.action, ask.id, json!({"question": ask.question}))).await?;
            tx.commit().await?;
            let work = Work { knowledge, caller: caller.clone(), ask: ask.clone(), sources, limit, explain, _permit: permit };
            Ok(ASKS.start(&kernel, &caller, ask.id, ask, async move { work.make().await }))
        };
        kernel.lifecycle.shielded("ask", record).await
    }

    /// Ends the asks of processes that died, so that their readers are not left waiting.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn end_abandoned_asks(&self) -> Result<u64> {
        ASKS.end_abandoned(&self.kernel).await
    }
}

struct Work {
    knowledge: Knowledge,
    caller: Caller,
    ask: Ask,
    sources: Option<Vec<Id<Source>>>,
    limit: usize,
    explain: bool,
    /// Its place among those that are answered.
    _permit: OwnedSemaphorePermit,
}

impl Work {
    async fn make(&self) -> Result<Answer> {
        // A model pays for every passage; picking sentences costs next to nothing, and the sentence that answers is not always in the first few.
        let limit = if self.knowledge.gateway.is_configured() { self.limit } else { self.limit.max(EXTRACTIVE_PASSAGES) };
        let only = Only { sources: self.sources.clone(), ..Only::default() };
        let search = Search { only, explain: self.explain, ..Search::new(&self.ask.question, limit) };
        let results = self.knowledge.find_for_answer(&self.caller.principal, &search).await?;
        let mode = if results.retrieval == Retrieval::Hybrid { "hybrid" } else { "lexical" };
        let mut recorder = Recorder::new(self);
        recorder.retrieved(mode, &results).await?;
        let mut answer = Answer {
            id: self.ask.id,
            question: self.ask.question.clone(),
            answer: String::new(),
            answered: false,
            citations: Vec::new(),
            mode: Mode::Extractive,
            lang: results.query.lang.code().to_owned(),
            retrieval: results.retrieval,
            notices: Vec::new(),
            trace_id: self.ask.trace_id.clone(),
            created_at: self.ask.created_at,
        };
        if results.retrieval == Retrieval::Lexical {
            answer.notices.push("no_embedder".to_owned());
        }
        let by_model = self.knowledge.gateway.is_configured() && !results.found.is_empty();
        let model = if by_model { self.knowledge.gateway.model() } else { "" };
        let (principal, answers) = (&self.caller.principal, &self.knowledge.answers);
        let key = Key::new(principal, &self.ask.question, self.sources.as_deref(), &results, model);
        // An explanation is of this search, so an explained answer is worked out anew and not kept.
        if let Some(made) = answers.get(&key).filter(|_| !self.explain) {
            tracing::debug!("the same question was answered from the same passages before");
            made.fill(&mut answer);
            recorder.push(&answer.answer).await?;
            recorder.flush().await?;
            return Ok(answer);
        }
        if !(by_model && self.by_model(&results, &mut answer, &mut recorder).await) {
            answer.mode = Mode::Extractive;
            let extract = self.extract(&results).await?;
            answer.answered = extract.answered;
            answer.answer = if extract.answered { extract.text } else { not_found_text(results.query.lang).to_owned() };
            answer.citations = extract.citations;
            recorder.push(&answer.answer).await?;
            recorder.flush().await?;
        }
        if let Some(made) = Made::of(&answer).filter(|_| !self.explain) {
            answers.put(principal.tenant, key, made);
        }
        Ok(answer)
    }

    /// Lets the chat model answer; false when it did not and nothing of it was sent.
    async fn by_model(&self, results: &Results, answer: &mut Answer, recorder: &mut Recorder<'_>) -> bool {
        let Err(error) = model::answer(&self.knowledge, results, answer, recorder).await else { return true };
        // Nothing of the model's was sent: the extractive answer takes its place, and says so.
        tracing::warn!(error = ?error, "the chat model did not answer; answering with sentences of the sources");
        answer.notices.push("model_unavailable".to_owned());
        (answer.answered, answer.citations) = (false, Vec::new());
        false
    }
}

/// An extractive answer, rendered.
pub(super) struct Rendered {
    pub answered: bool,
    pub text: String,
    pub citations: Vec<Citation>,
}

/// A found chunk as a citation.
pub(super) fn citation(n: usize, found: &Found) -> Citation {
    Citation {
        n: i64::try_from(n).unwrap_or(i64::MAX),
        document_id: found.document_id,
        document: found.document.clone(),
        source: found.source.clone(),
        source_id: found.source_id,
        heading: found.heading.clone(),
        page: found.page,
        start: found.start,
        end: found.end,
        score: found.score,
        text: found.text.clone(),
        explanation: found.explanation.clone(),
    }
}

/// Writes an ask's events: text is gathered for a moment, so that a token is not a row.
pub(super) struct Recorder<'a> {
    work: &'a Work,
    buffer: String,
    since: Instant,
}

impl<'a> Recorder<'a> {
    fn new(work: &'a Work) -> Self {
        Self { work, buffer: String::new(), since: Instant::now() }
    }

    pub(super) async fn event(&mut self, kind: &str, data: &serde_json::Value) -> Result<()> {
        let Work { knowledge, caller, ask, .. } = self.work;
        ASKS.event(&knowledge.kernel, caller.principal.tenant, ask.id, kind, data).await
    }

    /// Tells the stream how much was found, and the audit log in which documents: the answer is made of them and names some.
    async fn retrieved(&mut self, mode: &str, results: &Results) -> Result<()> {
        let Work { knowledge, caller, ask, .. } = self.work;
        let (kernel, tenant) = (&knowledge.kernel, caller.principal.tenant);
        let mut tx = kernel.db.write(tenant).await?;
        let event = json!({"retrieval": mode, "passages": results.found.len()});
        tx.append_event(tenant, &ASKS.stream(ask.id), "ask.retrieved", &event, kernel.now()).await?;
        if kernel.records_reads(false) {
            let shown = reads::documents(results.found.iter().map(|f| f.document_id));
            tx.audit(kernel, Record::of(caller, "ask.documents", ask.id, shown)).await?;
        }
        tx.commit().await
    }

    /// Adds text to the answer's stream.
    pub(super) async fn push(&mut self, text: &str) -> Result<()> {
        if self.buffer.is_empty() {
            self.since = Instant::now();
        }
        self.buffer.push_str(text);
        if self.buffer.len() >= COALESCE.1 || self.since.elapsed() >= COALESCE.0 { self.flush().await } else { Ok(()) }
    }

    /// Sends what is gathered.
    pub(super) async fn flush(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let text = std::mem::take(&mut self.buffer);
        self.event("answer.delta", &json!({"text": text})).await
    }
}

impl Work {
    async fn extract(&self, results: &Results) -> Result<Rendered> {
        super::extractive_glue::answer(&self.knowledge, &self.ask.question, results).await
    }
}
