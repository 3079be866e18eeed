//! Who a token speaks of: the one verifier, the issuer outside, and our own keys.
//!
//! [`tokens`] verifies and knows neither network nor database.

pub mod tokens;

#[cfg(test)]
mod testing;
