//! What many requests need and few change, kept for a moment: a change made elsewhere is noticed after [`AGE`], one made here at once.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use astrolabe_kernel::Timestamp;

/// How long a value is taken for true before the database is asked again. Changes must reach every process within 5 seconds.
pub(crate) const AGE: Duration = Duration::from_secs(2);
/// Keys at most; when there are more, all are read again.
const MAX_KEYS: usize = 10_000;

/// Values that were read a moment ago.
pub(crate) struct Fresh<K, V>(Mutex<HashMap<K, (Timestamp, Arc<V>)>>);

impl<K, V> Default for Fresh<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V> Fresh<K, V> {
    fn entries(&self) -> MutexGuard<'_, HashMap<K, (Timestamp, Arc<V>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value, when it was read less than [`AGE`] ago. A clock that was set back makes it old.
    pub fn get(&self, key: &K, now: Timestamp) -> Option<Arc<V>> {
        let entries = self.entries();
        let (read_at, value) = entries.get(key)?;
        (*read_at <= now && now.since(*read_at) < AGE).then(|| value.clone())
    }

    /// The value as it was last read, however long ago.
    pub fn last(&self, key: &K) -> Option<Arc<V>> {
        self.entries().get(key).map(|(_, value)| value.clone())
    }

    /// Keeps what was read. `now` is the time before the reading began.
    pub fn put(&self, key: K, now: Timestamp, value: Arc<V>) {
        let mut entries = self.entries();
        if entries.len() >= MAX_KEYS && !entries.contains_key(&key) {
            entries.clear();
        }
        entries.insert(key, (now, value));
    }

    /// Has the value read again at the next use, after a change made here.
    pub fn expire(&self, key: &K) {
        if let Some((read_at, _)) = self.entries().get_mut(key) {
            *read_at = Timestamp::from_micros(i64::MIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_true_for_two_seconds_and_until_it_is_expired() {
        let at = |ms: i64| Timestamp::from_micros(ms * 1000);
        let fresh = Fresh::default();
        fresh.put("a", at(10_000), Arc::new(1));
        assert_eq!(fresh.get(&"a", at(11_999)).as_deref(), Some(&1));
        assert_eq!(fresh.get(&"a", at(12_000)), None);
        assert_eq!(fresh.get(&"a", at(9_999)), None, "the clock was set back");
        fresh.expire(&"a");
        assert_eq!((fresh.get(&"a", at(10_000)), fresh.last(&"a").as_deref()), (None, Some(&1)));
    }
}
