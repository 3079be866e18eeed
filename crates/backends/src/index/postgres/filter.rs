//! Filters as SQL.

use astrolabe_kernel::{Tx, args, db::Arg};

use super::postings::{ORDINAL_BITS, code};
use super::text::texts;
use super::{PostgresIndex, database, text};
use crate::index::{Filter, IndexError};

/// A condition with its arguments; further arguments follow them.
pub struct Condition {
    /// SQL over `d`, a document; `$1` is the tenant's number.
    pub documents: String,
    /// SQL over `c`, a chunk; empty for none.
    pub chunks: String,
    /// The arguments so far.
    pub args: Vec<Arg>,
    /// Whether documents are told apart at all.
    pub all_documents: bool,
    /// How many arguments the part about documents has; they are the first.
    document_args: usize,
}

impl Condition {
    /// What `filter` says of documents and of the languages of chunks.
    pub fn new(filter: &Filter, tenant: i64) -> Self {
        let mut condition = Self {
            documents: "d.tenant = $1".to_owned(),
            chunks: String::new(),
            args: vec![Arg::from(tenant)],
            all_documents: true,
            document_args: 1,
        };
        let lists = [
            ("d.source_id = ANY({}::text[])", &filter.sources),
            ("d.document_id = ANY({}::text[])", &filter.documents),
            ("d.mime = ANY({}::text[])", &filter.mimes),
            ("d.tags && {}::text[]", &filter.tags),
            ("(d.readers IS NULL OR d.readers && {}::text[])", &filter.readers),
        ];
        for (sql, list) in lists {
            if let Some(list) = list {
                condition.and(sql, Arg::from(texts(list.iter().map(String::as_str))));
            }
        }
        for (sql, moment) in [("d.updated_at >= {}", filter.updated_from), ("d.updated_at < {}", filter.updated_until)] {
            if let Some(moment) = moment {
                condition.and(sql, Arg::from(moment));
            }
        }
        condition.document_args = condition.args.len();
        if let Some(lang) = filter.lang {
            let place = condition.push(Arg::from(i64::from(code(lang))));
            condition.chunks = format!(" AND c.lang = {place}");
        }
        condition
    }

    /// The arguments of the part about documents.
    pub fn document_args(&self) -> &[Arg] {
        &self.args[..self.document_args]
    }

    fn and(&mut self, sql: &str, arg: Arg) {
        let place = self.push(arg);
        self.documents.push_str(" AND ");
        self.documents.push_str(&sql.replace("{}", &place));
        self.all_documents = false;
    }

    /// Adds an argument and returns its place in the statement.
    pub fn push(&mut self, arg: impl Into<Arg>) -> String {
        self.args.push(arg.into());
        format!("${}", self.args.len())
    }
}

impl PostgresIndex {
    /// The numbers of the documents that a condition allows, ascending.
    pub(super) async fn allowed_documents(&self, tx: &mut Tx, condition: &Condition) -> Result<Vec<i64>, IndexError> {
        let sql = format!(
            "SELECT array_send(COALESCE(array_agg(d.number ORDER BY d.number), '{{}}')) AS numbers FROM {} d WHERE {}",
            self.names.documents, condition.documents
        );
        // Packed into one value: thousands of rows would cost more to read than to find.
        let packed: Vec<u8> = tx.one(sql, condition.document_args()).await.map_err(database)?;
        Ok(text::parse_numbers(&packed))
    }

    /// How many chunks `filter` allows.
    pub(super) async fn count_allowed(&self, filter: &Filter) -> Result<u64, IndexError> {
        let Some((mut tx, tenant)) = self.of_tenant(&filter.tenant).await? else { return Ok(0) };
        let condition = Condition::new(filter, tenant.number);
        if !filter.all_of.is_empty() {
            return Ok(self.slots_with_words(&mut tx, filter, &tenant, &condition).await?.len() as u64);
        }
        let all: i64 = if filter.lang.is_none() {
            let sql = format!(
                "SELECT CAST(COALESCE(SUM(d.chunks), 0) AS BIGINT) AS n FROM {} d WHERE {}",
                self.names.documents, condition.documents
            );
            tx.one(sql, &condition.args).await.map_err(database)?
        } else {
            let sql = format!(
                "SELECT COUNT(*) AS n FROM {} d JOIN {} c ON c.document = d.number AND c.tenant = d.tenant WHERE {}{}",
                self.names.documents, self.names.chunks, condition.documents, condition.chunks
            );
            tx.one(sql, &condition.args).await.map_err(database)?
        };
        let without = if filter.none_of.is_empty() {
            0
        } else {
            // Those of the allowed chunks that hold an excluded word.
            let holding = Filter { all_of: vec![filter.none_of.clone()], none_of: Vec::new(), ..filter.clone() };
            self.slots_with_words(&mut tx, &holding, &tenant, &condition).await?.len()
        };
        Ok(u64::try_from(all).unwrap_or(0).saturating_sub(without as u64))
    }

    /// The allowed chunks that hold a term of every group of `all_of` and none of `none_of`, ascending. `all_of` is not empty.
    pub(super) async fn slots_with_words(
        &self,
        tx: &mut Tx,
        filter: &Filter,
        tenant: &super::Tenant,
        condition: &Condition,
    ) -> Result<Vec<i64>, IndexError> {
        let words = filter.all_of.iter().flatten().chain(&filter.none_of).map(String::as_str);
        let lists = self.lists(tx, tenant, words).await?;
        let documents = if condition.all_documents { None } else { Some(self.allowed_documents(tx, condition).await?) };
        let excluded = lists.holding(&filter.none_of);
        let groups: Vec<_> = filter.all_of.iter().map(|group| lists.holding(group)).collect();
        let Some((first, rest)) = groups.split_first() else { return Ok(Vec::new()) };
        let mut slots: Vec<i64> = first
            .iter()
            .filter(|(slot, lang)| {
                rest.iter().all(|group| group.contains_key(slot))
                    && !excluded.contains_key(slot)
                    && filter.lang.is_none_or(|wanted| wanted == **lang)
                    && documents.as_ref().is_none_or(|d| d.binary_search(&(**slot >> ORDINAL_BITS)).is_ok())
            })
            .map(|(slot, _)| *slot)
            .collect();
        slots.sort_unstable();
        Ok(slots)
    }
}

/// A tenant's number and totals.
pub async fn tenant(tx: &mut Tx, table: &str, tenant: &str) -> Result<Option<super::Tenant>, IndexError> {
    let sql = format!("SELECT number, chunks, vectors, words FROM {table} WHERE tenant = $1 AND chunks > 0");
    tx.optional(sql, args![tenant]).await.map_err(database)
}
