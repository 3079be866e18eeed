//! Every engine, opened empty, for tests that hold for all of them.

use std::sync::Arc;

use astrolabe_kernel::{Db, testing::database_url};

use super::*;
use crate::index::{Embedded, PostgresIndex, SearchIndex};

/// An engine with what has to live as long as it.
pub struct Engine {
    pub index: Arc<dyn SearchIndex>,
    _folder: tempfile::TempDir,
}

impl std::ops::Deref for Engine {
    type Target = dyn SearchIndex;

    fn deref(&self) -> &Self::Target {
        &*self.index
    }
}

/// The embedded engine and, with `TEST_POSTGRES_URI` in the environment, the one on that server.
pub async fn engines(dims: usize) -> Vec<Engine> {
    let folder = tempfile::tempdir().unwrap();
    let (index, _) = EmbeddedIndex::open(folder.path(), "minilm", "1", dims).unwrap();
    let mut engines = vec![Engine { index: Arc::new(Embedded::new(index)), _folder: folder }];
    if let Some((db, folder)) = postgres().await {
        let index = PostgresIndex::open(db, "minilm", "1", dims).await.unwrap();
        engines.push(Engine { index: Arc::new(index), _folder: folder });
    }
    engines
}

/// An empty PostgreSQL database, when there is a server for tests.
pub async fn postgres() -> Option<(Db, tempfile::TempDir)> {
    let folder = tempfile::tempdir().unwrap();
    let url = database_url(folder.path()).await;
    if !url.starts_with("postgres") {
        return None;
    }
    Some((Db::open(&url, 4).await.unwrap(), folder))
}

pub async fn lexical(index: &dyn SearchIndex, filter: &Filter, query: &str, k: usize) -> Vec<Hit> {
    index.lexical(filter, &analyse_query(query, Some(Lang::En)).terms, k).await.unwrap()
}

pub fn list(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

/// A small generator (splitmix64), so that every run tests the same.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// About normal, with a deviation of 0.7.
    pub fn normal(&mut self) -> f32 {
        ((0..6).map(|_| self.unit()).sum::<f64>() - 3.0) as f32
    }

    /// One of `n` words; the first is met most often.
    pub fn word(&mut self, n: usize) -> String {
        let number = (n as f64).powf(self.unit()) as usize;
        format!(
            "{}{}ab",
            ["ko", "ra", "mi", "tu", "se"][number % 5],
            ["l", "n", "d", "g", "b", "p", "v"][number / 5 % 7].repeat(1 + number / 35)
        )
    }

    pub fn text(&mut self, words: usize, of: usize) -> String {
        (0..words).map(|_| self.word(of)).collect::<Vec<_>>().join(" ")
    }

    pub fn vector(&mut self, dims: usize) -> Vec<f32> {
        (0..dims).map(|_| ((0..4).map(|_| self.unit()).sum::<f64>() - 2.0) as f32).collect()
    }
}
