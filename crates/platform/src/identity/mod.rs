//! Who a token speaks of: the one verifier, the issuer outside, and our own keys.
//!
//! [`tokens`] verifies and knows neither network nor database. [`issuers`] fetches and keeps the keys of the issuer that the section `oidc` names.

pub mod config;
pub mod issuers;
#[cfg(test)]
mod testing;
pub mod tokens;
