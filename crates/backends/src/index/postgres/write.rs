//! Putting documents in and taking them out.

use std::collections::{BTreeMap, HashMap};

use astrolabe_kernel::{
    Tx, args,
    db::{Arg, FromRow, Row, Scope},
};
use serde::Serialize;

use super::postings::{Entry, ORDINAL_BITS, code, pack};
use super::schema::Names;
use super::text::{numbers, texts, vector};
use super::{PostgresIndex, database};
use crate::index::record::{Body, body_of};
use crate::index::{IndexDocument, IndexError, check::checked};

/// Rows sent with one statement.
const ROWS: usize = 1000;

/// A document, analysed.
pub struct Analysed {
    source_id: String,
    document_id: String,
    version: i64,
    body: Body,
}

/// Checks and analyses documents, which computes; of two with one id the later one stays.
pub fn analysed(documents: Vec<IndexDocument>, dims: usize) -> Result<BTreeMap<String, Vec<Analysed>>, IndexError> {
    let mut last: BTreeMap<(String, String), IndexDocument> = BTreeMap::new();
    for document in documents {
        let document = checked(document, dims)?;
        last.insert((document.tenant.clone(), document.document_id.clone()), document);
    }
    let mut by_tenant: BTreeMap<String, Vec<Analysed>> = BTreeMap::new();
    for ((tenant, document_id), document) in last {
        if document.chunks.len() >= 1 << ORDINAL_BITS {
            return Err(IndexError::invalid("chunks", "must be fewer than 1048576 in a document: split the document"));
        }
        let (source_id, version) = (document.source_id.clone(), document.version);
        let analysed = Analysed { source_id, document_id, version, body: body_of(document) };
        by_tenant.entry(tenant).or_default().push(analysed);
    }
    Ok(by_tenant)
}

/// What a document adds to its tenant's totals.
#[derive(Default, Clone, Copy)]
struct Totals {
    documents: i64,
    chunks: i64,
    vectors: i64,
    words: i64,
}

/// A document that goes.
struct Gone {
    number: i64,
    totals: Totals,
}

impl FromRow for Gone {
    fn from_row(row: &Row) -> astrolabe_kernel::Result<Self> {
        let totals = Totals { documents: 1, chunks: row.get("chunks")?, vectors: row.get("vectors")?, words: row.get("words")? };
        Ok(Self { number: row.get("number")?, totals })
    }
}

struct Version(String, i64);

impl FromRow for Version {
    fn from_row(row: &Row) -> astrolabe_kernel::Result<Self> {
        Ok(Self(row.get("document_id")?, row.get("version")?))
    }
}

#[derive(Serialize)]
struct DocumentRow<'a> {
    number: i64,
    document_id: &'a str,
    source_id: &'a str,
    version: i64,
    mime: &'a str,
    tags: &'a [String],
    readers: Option<&'a [String]>,
    updated_at: i64,
    chunks: i64,
    vectors: i64,
    words: i64,
}

#[derive(Serialize)]
struct ChunkRow<'a> {
    slot: i64,
    document: i64,
    chunk_id: &'a str,
    lang: u8,
    page: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<String>,
}

#[derive(Serialize)]
struct PostingRow<'a> {
    term: &'a str,
    entries: String,
}

impl PostgresIndex {
    /// Puts analysed documents in, all in one transaction.
    pub(super) async fn put(&self, by_tenant: BTreeMap<String, Vec<Analysed>>) -> Result<(), IndexError> {
        let mut names = by_tenant.keys();
        let mut tx = match (names.next(), names.next()) {
            (Some(only), None) => self.db.write(Scope::named(only).map_err(database)?).await,
            _ => self.db.write_all().await,
        }
        .map_err(database)?;
        // Tenants are locked in their order, so that two writers never wait for each other.
        for (tenant, documents) in &by_tenant {
            let tenant = self.lock_tenant(&mut tx, tenant).await?;
            self.put_of_tenant(&mut tx, tenant, documents).await?;
        }
        tx.commit().await.map_err(database)
    }

    /// The tenant's number, made when there is none; nobody else writes to the tenant until the transaction ends.
    async fn lock_tenant(&self, tx: &mut Tx, tenant: &str) -> Result<i64, IndexError> {
        let Names { tenants, .. } = &self.names;
        if let Some(number) = self.lock_known(tx, tenant).await? {
            return Ok(number);
        }
        tx.execute(format!("INSERT INTO {tenants} (tenant) VALUES ($1) ON CONFLICT DO NOTHING"), args![tenant]).await.map_err(database)?;
        tx.one(format!("SELECT number FROM {tenants} WHERE tenant = $1 FOR UPDATE"), args![tenant]).await.map_err(database)
    }

    /// The same for a tenant that may not be there.
    async fn lock_known(&self, tx: &mut Tx, tenant: &str) -> Result<Option<i64>, IndexError> {
        let sql = format!("SELECT number FROM {} WHERE tenant = $1 FOR UPDATE", self.names.tenants);
        tx.optional(sql, args![tenant]).await.map_err(database)
    }

    async fn put_of_tenant(&self, tx: &mut Tx, tenant: i64, documents: &[Analysed]) -> Result<(), IndexError> {
        let Names { documents: table, postings, .. } = &self.names;
        let ids = texts(documents.iter().map(|d| d.document_id.as_str()));
        let known: Vec<Version> = tx
            .all(
                format!("SELECT document_id, version FROM {table} WHERE tenant = $1 AND document_id = ANY($2::text[])"),
                args![tenant, &ids],
            )
            .await
            .map_err(database)?;
        let known: HashMap<String, i64> = known.into_iter().map(|v| (v.0, v.1)).collect();
        for document in documents {
            if let Some(have) = known.get(&document.document_id).filter(|have| **have > document.version) {
                return Err(IndexError::Stale { document_id: document.document_id.clone(), have: *have, given: document.version });
            }
        }
        if !known.is_empty() {
            self.remove(tx, tenant, "document_id = ANY($2::text[])", ids).await?;
        }
        let sequence = format!("pg_get_serial_sequence('{table}', 'number')");
        let count = i64::try_from(documents.len()).unwrap_or(i64::MAX);
        // One more than documents: the last numbers the posting lists of this write.
        let mut reserved: Vec<i64> =
            tx.all(format!("SELECT nextval({sequence}) AS n FROM generate_series(0, $1::bigint)"), args![count]).await.map_err(database)?;
        reserved.sort_unstable();
        let segment = reserved.pop().unwrap_or_default();
        let mut totals = Totals::default();
        let mut lists: BTreeMap<&str, Vec<Entry>> = BTreeMap::new();
        let (mut document_rows, mut chunk_rows) = (Vec::new(), Vec::new());
        for (document, number) in documents.iter().zip(reserved) {
            let mut of = Totals { documents: 1, ..Totals::default() };
            for (slot, chunk) in (number << ORDINAL_BITS..).zip(&document.body.chunks) {
                of.chunks += 1;
                of.vectors += i64::from(chunk.vector.is_some());
                of.words += i64::from(chunk.length);
                for (term, count) in chunk.terms.iter().filter(|(term, _)| !term.contains('\0')) {
                    lists.entry(term).or_default().push(Entry { slot, count: *count, length: chunk.length, lang: chunk.lang });
                }
                chunk_rows.push(ChunkRow {
                    slot,
                    document: number,
                    chunk_id: &chunk.chunk_id,
                    lang: code(chunk.lang),
                    page: chunk.page,
                    vector: chunk.vector.as_ref().map(|(_, v)| vector(v)),
                });
            }
            document_rows.push(DocumentRow {
                number,
                document_id: &document.document_id,
                source_id: &document.source_id,
                version: document.version,
                mime: &document.body.mime,
                tags: &document.body.tags,
                readers: document.body.readers.as_deref(),
                updated_at: document.body.updated_at,
                chunks: of.chunks,
                vectors: of.vectors,
                words: of.words,
            });
            totals = totals.plus(of, 1);
        }
        let posting_rows: Vec<PostingRow<'_>> =
            lists.iter().map(|(term, entries)| PostingRow { term, entries: hex::encode(pack(entries)) }).collect();
        let documents = format!(
            "INSERT INTO {table} (number, tenant, document_id, source_id, version, mime, tags, readers, updated_at, chunks, vectors, words)
             OVERRIDING SYSTEM VALUE SELECT number, $1, document_id, source_id, version, mime, tags, readers, updated_at, chunks, vectors, words
             FROM json_to_recordset($2::json) AS r(number bigint, document_id text, source_id text, version bigint, mime text, tags text[], readers text[],
                                                   updated_at bigint, chunks bigint, vectors bigint, words bigint)"
        );
        let (column, value) = if self.dims > 0 { (", vector", ", vector::halfvec") } else { ("", "") };
        let chunks = format!(
            "INSERT INTO {} (slot, tenant, document, chunk_id, lang, page{column}) SELECT slot, $1, document, chunk_id, lang, page{value}
             FROM json_to_recordset($2::json) AS r(slot bigint, document bigint, chunk_id text, lang smallint, page bigint, vector text)",
            self.names.chunks
        );
        let postings = format!(
            "INSERT INTO {postings} (tenant, term, segment, entries) SELECT $1, term, $2, decode(entries, 'hex')
             FROM json_to_recordset($3::json) AS r(term text, entries text)"
        );
        insert(tx, documents, args![tenant], &document_rows).await?;
        insert(tx, chunks, args![tenant], &chunk_rows).await?;
        insert(tx, postings, args![tenant, segment], &posting_rows).await?;
        self.add(tx, tenant, totals).await
    }

    /// Takes out the documents of a tenant that fit `condition` over `$2`. Their words stay in the posting lists, marked as dead, until the
    /// lists are merged.
    async fn remove(&self, tx: &mut Tx, tenant: i64, condition: &str, argument: String) -> Result<(), IndexError> {
        let Names { documents, chunks, postings, dead, .. } = &self.names;
        let gone: Vec<Gone> = tx
            .all(
                format!("DELETE FROM {documents} WHERE tenant = $1 AND {condition} RETURNING number, chunks, vectors, words"),
                args![tenant, argument],
            )
            .await
            .map_err(database)?;
        if gone.is_empty() {
            return Ok(());
        }
        let list = numbers(gone.iter().map(|g| g.number));
        tx.execute(format!("DELETE FROM {chunks} WHERE tenant = $1 AND document = ANY($2::bigint[])"), args![tenant, &list])
            .await
            .map_err(database)?;
        tx.execute(format!("INSERT INTO {dead} (tenant, number) SELECT $1, unnest($2::bigint[])"), args![tenant, &list])
            .await
            .map_err(database)?;
        let totals = gone.iter().fold(Totals::default(), |sum, g| sum.plus(g.totals, -1));
        self.add(tx, tenant, totals).await?;
        let left: bool = tx
            .one(format!("SELECT EXISTS (SELECT 1 FROM {documents} WHERE tenant = $1) AS there"), args![tenant])
            .await
            .map_err(database)?;
        if !left {
            for table in [postings, dead] {
                tx.execute(format!("DELETE FROM {table} WHERE tenant = $1"), args![tenant]).await.map_err(database)?;
            }
        }
        Ok(())
    }

    async fn add(&self, tx: &mut Tx, tenant: i64, totals: Totals) -> Result<(), IndexError> {
        tx.execute(
            format!(
                "UPDATE {} SET documents = documents + $2, chunks = chunks + $3, vectors = vectors + $4, words = words + $5 WHERE number = $1",
                self.names.tenants
            ),
            args![tenant, totals.documents, totals.chunks, totals.vectors, totals.words],
        )
        .await
        .map_err(database)?;
        Ok(())
    }

    /// Takes out what fits `condition` over `$2`, of a tenant by its name.
    pub(super) async fn take_out(&self, tenant: &str, condition: &str, argument: &str) -> Result<(), IndexError> {
        let Ok(scope) = Scope::named(tenant) else { return Ok(()) };
        let mut tx = self.db.write(scope).await.map_err(database)?;
        let Some(tenant) = self.lock_known(&mut tx, tenant).await? else { return Ok(()) };
        if !argument.contains('\0') {
            self.remove(&mut tx, tenant, condition, argument.to_owned()).await?;
        }
        tx.commit().await.map_err(database)
    }
}

impl Totals {
    fn plus(self, other: Self, sign: i64) -> Self {
        Self {
            documents: self.documents + sign * other.documents,
            chunks: self.chunks + sign * other.chunks,
            vectors: self.vectors + sign * other.vectors,
            words: self.words + sign * other.words,
        }
    }
}

/// Runs a statement over rows, which are its last argument, as JSON.
async fn insert<T: Serialize>(tx: &mut Tx, sql: String, args: &[Arg], rows: &[T]) -> Result<(), IndexError> {
    for rows in rows.chunks(ROWS) {
        let json = serde_json::to_string(rows).map_err(|e| database(astrolabe_kernel::Error::internal(e)))?;
        let args: Vec<Arg> = args.iter().cloned().chain([Arg::from(json)]).collect();
        tx.execute(sql.clone(), &args).await.map_err(database)?;
    }
    Ok(())
}
