//! When and after how long a failed call is made again.

use std::time::Duration;

use astrolabe_kernel::{Random, Timestamp};

use crate::error::ModelGatewayError;

/// Attempts beside the first.
pub const RETRIES: u32 = 2;

/// The longest `Retry-After` that a call waits for; a provider that asks for more is not asked again by this call.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(20);

/// The upper bound of the first wait; it doubles with every attempt.
pub const BACKOFF: Duration = Duration::from_millis(400);

/// The upper bound of every wait that the provider did not ask for.
const LONGEST_BACKOFF: Duration = Duration::from_secs(8);

/// How long to wait before attempt `attempt + 1` (the first has number 0), or nothing when there is to be none.
///
/// Full jitter: anywhere between zero and the doubled bound, so that callers that failed together do not come back together. A
/// provider's `Retry-After` is waited for in full, with the jitter on top.
pub fn delay(error: &ModelGatewayError, attempt: u32, backoff: Duration, time_left: Duration, random: &Random) -> Option<Duration> {
    if attempt >= RETRIES || !error.should_retry() {
        return None;
    }
    let asked = match error {
        ModelGatewayError::ProviderOverloaded { retry_after: Some(asked) } => *asked,
        _ => Duration::ZERO,
    };
    if asked > LONGEST_RETRY_AFTER {
        return None;
    }
    let bound = backoff.saturating_mul(1 << attempt.min(16)).min(LONGEST_BACKOFF);
    let jitter = Duration::from_micros(random.below(u64::try_from(bound.as_micros()).unwrap_or(u64::MAX).saturating_add(1)));
    let wait = asked + jitter;
    (wait < time_left).then_some(wait)
}

/// Reads `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date, of which a past one means now.
pub fn parse_retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    // Some providers send fractions of a second.
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    Some(Timestamp::from_micros(at.as_microsecond()).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    fn overloaded(seconds: Option<u64>) -> ModelGatewayError {
        ModelGatewayError::ProviderOverloaded { retry_after: seconds.map(Duration::from_secs) }
    }

    fn failed(started: bool) -> ModelGatewayError {
        ModelGatewayError::ProviderServerError { status: Some(500), started, detail: String::new() }
    }

    #[test]
    fn a_wait_is_never_shorter_than_the_provider_asked_for_nor_much_longer() {
        let random = Random::seeded(1);
        for _ in 0..200 {
            let wait = delay(&overloaded(Some(3)), 0, BACKOFF, LONG, &random).unwrap();
            assert!(wait >= Duration::from_secs(3) && wait <= Duration::from_secs(3) + BACKOFF, "{wait:?}");
        }
    }

    #[test]
    fn the_jitter_is_full_and_its_bound_doubles() {
        let random = Random::seeded(2);
        let waits = |attempt| (0..500).map(|_| delay(&failed(false), attempt, BACKOFF, LONG, &random).unwrap()).collect::<Vec<_>>();
        let (first, second) = (waits(0), waits(1));
        assert!(
            first.iter().all(|w| *w <= BACKOFF) && first.iter().any(|w| *w < BACKOFF / 10) && first.iter().any(|w| *w > BACKOFF * 9 / 10)
        );
        assert!(second.iter().all(|w| *w <= BACKOFF * 2) && second.iter().any(|w| *w > BACKOFF));
    }

    #[test]
    fn there_are_two_retries_and_none_after_text_was_seen() {
        let random = Random::seeded(3);
        assert!(delay(&failed(false), 1, BACKOFF, LONG, &random).is_some());
        assert!(delay(&failed(false), 2, BACKOFF, LONG, &random).is_none());
        assert!(delay(&failed(true), 0, BACKOFF, LONG, &random).is_none());
        assert!(delay(&ModelGatewayError::Protocol { detail: String::new() }, 0, BACKOFF, LONG, &random).is_none());
    }

    #[test]
    fn a_call_gives_up_when_the_provider_asks_for_too_long_or_nobody_waits_that_long() {
        let random = Random::seeded(4);
        assert!(delay(&overloaded(Some(21)), 0, BACKOFF, LONG, &random).is_none());
        assert!(delay(&overloaded(Some(5)), 0, BACKOFF, Duration::from_secs(4), &random).is_none());
        assert_eq!(overloaded(Some(3600)).suggested_sleep(), Some(LONGEST_RETRY_AFTER));
        assert_eq!(overloaded(None).suggested_sleep(), Some(Duration::from_secs(1)));
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now: Timestamp = serde_json::from_str("\"1994-11-06T08:49:30Z\"").unwrap();
        assert_eq!(parse_retry_after(" 7 ", now), Some(Duration::from_secs(7)));
        assert_eq!(parse_retry_after("0.5", now), Some(Duration::from_millis(500)));
        assert_eq!(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(7)));
        assert_eq!(parse_retry_after("Sun, 06 Nov 1994 08:49:00 GMT", now), Some(Duration::ZERO));
        for bad in ["", "soon", "-1", "1e300", "NaN"] {
            assert_eq!(parse_retry_after(bad, now), None, "{bad}");
        }
    }
}
