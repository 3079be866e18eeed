//! What everybody may read about our tokens: the public keys, and where a client gets a token.

use astrolabe_kernel::{
    Result,
    http::{Json, OpenProblems},
};
use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::identity::Identity;

/// The public halves of the keys that sign tokens (RFC 7517).
#[derive(Debug, Serialize, ToSchema)]
pub struct JwkSet {
    /// The keys: the one that signs, the one that will be next, and those whose tokens have not expired.
    pub keys: Vec<Jwk>,
}

/// A public key (RFC 8037).
#[derive(Debug, Serialize, ToSchema)]
pub struct Jwk {
    /// The family of keys.
    #[schema(example = "OKP")]
    pub kty: String,
    /// The curve.
    #[schema(example = "Ed25519")]
    pub crv: String,
    /// The public key, in base 64 for URLs.
    pub x: String,
    /// Its id: the thumbprint of RFC 7638.
    pub kid: String,
    /// What it is for: signatures.
    #[serde(rename = "use")]
    #[schema(example = "sig")]
    pub usage: String,
    /// The algorithm.
    #[schema(example = "EdDSA")]
    pub alg: String,
}

/// The public keys of this server's tokens
///
/// A JWK set for whoever verifies tokens that this server issued. Keep it for five minutes at most, and ask again for a `kid` that is not in it.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "session", security(()),
    responses((status = 200, description = "A JWK set (RFC 7517).", body = JwkSet, content_type = "application/json"), OpenProblems))]
pub async fn get_jwks(State(identity): State<Identity>) -> Result<Response> {
    let jwks = identity.keys().jwks().await?;
    Ok(([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "public, max-age=300")], jwks).into_response())
}

/// Where a client of this API gets a token (RFC 9728, section 2).
#[derive(Debug, Serialize, ToSchema)]
pub struct ProtectedResource {
    /// This server, as `aud` names it to issuers that know resources (RFC 8707).
    #[schema(example = "https://docs.example.com")]
    pub resource: String,
    /// The issuers whose tokens are accepted; absent when there is none outside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authorization_servers: Vec<String>,
    /// The scopes that a sign-in asks for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes_supported: Vec<String>,
    /// How a token is sent: in the header alone.
    pub bearer_methods_supported: Vec<String>,
    /// A name for people.
    #[schema(example = "Astrolabe")]
    pub resource_name: String,
    /// The description of the API.
    pub resource_documentation: String,
}

/// Where to get a token
///
/// Metadata of this server as a protected resource (RFC 9728), by which clients find the issuer.
#[utoipa::path(get, path = "/.well-known/oauth-protected-resource", tag = "session", security(()),
    responses((status = 200, description = "The metadata.", body = ProtectedResource), OpenProblems))]
pub async fn get_protected_resource(State(identity): State<Identity>, headers: HeaderMap) -> Response {
    // Without a public address the client's own word for us is the right one; `guard` has judged it.
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or("localhost");
    let resource = match identity.public_url() {
        "" => format!("http://{host}"),
        url => url.to_owned(),
    };
    let outside = identity.issuer().map(|issuer| issuer.config());
    let body = ProtectedResource {
        resource_documentation: format!("{resource}/docs"),
        resource,
        authorization_servers: outside.map(|c| c.issuer.clone()).into_iter().collect(),
        scopes_supported: outside.map(|c| c.scopes.clone()).unwrap_or_default(),
        bearer_methods_supported: vec!["header".to_owned()],
        resource_name: "Astrolabe".to_owned(),
    };
    std::future::ready(([(header::CACHE_CONTROL, "public, max-age=300")], Json(body)).into_response()).await
}
