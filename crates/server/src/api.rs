//! The description of the API: what all operations share, and what each domain adds.

use astrolabe_gateway::surface::errors::is_openais;
use astrolabe_kernel::{
    http::{Problem, problem},
    limits::Class,
};
use axum::http::Method;
use utoipa::{
    OpenApi,
    openapi::{
        self, ContentBuilder, ObjectBuilder, RefOr, SecurityRequirement,
        path::Operation,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
        server::Server,
    },
};

use crate::{classes, system::VERSION};

#[derive(OpenApi)]
#[openapi(
    components(schemas(Problem)),
    tags(
        (name = "system", description = "Probes, metrics and the build, open to everybody who reaches the server."),
        (name = "session", description = "Who is signed in, and how: with e-mail and password, a one-time link, or a bearer token."),
        (name = "users", description = "People of a tenant, their roles, and what roles allow."),
        (name = "tenants", description = "Tenants, whose data is kept apart from each other's."),
        (name = "api keys", description = "How programs sign in: keys that act as the person who made them, for some rights."),
        (name = "sources", description = "Collections of documents with settings of their own."),
        (name = "documents", description = "What is in a source: uploaded, ingested, searchable."),
        (name = "uploads", description = "Files that come in parts, to signed addresses."),
        (name = "search", description = "Passages that match, by words and by meaning."),
        (name = "ask", description = "Questions and their answers with citations; streams resume."),
        (name = "quality", description = "Feedback on answers, and question sets that are asked again and again."),
        (name = "agents", description = "Agents that plan, call tools within the caller's roles, and answer."),
        (name = "tickets", description = "Tickets that people and agents open."),
        (name = "policies", description = "Conditions beside roles: who may do what, when and from where."),
        (name = "settings", description = "The tenant's name, time zone and feature flags; the installation's maintenance switch."),
        (name = "models", description = "Chat and embedding models, in OpenAI's words; errors have OpenAI's shape."),
        (name = "usage", description = "What models cost, by day, model and person, and the budgets."),
        (name = "jobs", description = "Background work: what waits, runs and failed."),
        (name = "privacy", description = "One person's data: handed over, and erased."),
        (name = "audit", description = "Who did what; every entry is in a signed chain."),
    )
)]
struct Base;

/// What the layers around every operation may answer, whatever the operation itself says.
pub fn complete(api: &mut openapi::OpenApi) {
    for (path, item) in &mut api.paths.paths {
        let public = |o: &Operation| o.security.is_some();
        let operations =
            [(&mut item.get, false), (&mut item.post, true), (&mut item.put, false), (&mut item.patch, false), (&mut item.delete, false)];
        for (operation, posts) in operations {
            let Some(operation) = operation else { continue };
            let mut refusals = vec![("414", "The address is too long."), ("431", "The headers are too many or too large.")];
            if operation.request_body.is_some() {
                refusals.push(("408", "The body came too slowly."));
            }
            if posts && !public(operation) {
                refusals.push(("409", "A request with this idempotency key is still running."));
                refusals.push(("422", "The idempotency key was used for a different request."));
            }
            if classes::class(&Method::POST, path) == Class::SignIn {
                refusals.push(("429", "Too many attempts; repeat after the time in `Retry-After`."));
            }
            for (status, text) in refusals {
                operation.responses.responses.entry(status.to_owned()).or_insert_with(|| problem(text));
            }
            if is_openais(path) {
                operation.responses.responses.values_mut().for_each(in_openais_shape);
            }
        }
    }
}

/// Describes a refusal as callers of OpenAI's API get it.
fn in_openais_shape(response: &mut RefOr<openapi::Response>) {
    let RefOr::T(response) = response else { return };
    if response.content.shift_remove("application/problem+json").is_some() {
        let error = ObjectBuilder::new().description(Some("`message`, `type`, `param` and `code`, as OpenAI has them."));
        let body = ObjectBuilder::new().property("error", error).required("error");
        response.content.insert("application/json".to_owned(), ContentBuilder::new().schema(Some(body.build())).build().into());
    }
}

/// The description before any domain has added its operations. `server` is the public address, or empty.
pub fn base(server: &str) -> openapi::OpenApi {
    let mut api = Base::openapi();
    api.info.title = "Astrolabe".to_owned();
    api.info.version = VERSION.to_owned();
    api.info.description = Some(
        "Answers from your documents with citations, and agents that can only do what the caller may do. Everything under `/api/v1` and `/v1` needs \
         `Authorization: Bearer <token>`; the token is in the file `token` of the data directory. Errors are `application/problem+json`; compare \
         `code`, show `detail`. Lists take `limit` and `cursor`. A POST with `Idempotency-Key` is done once. `RateLimit` tells how many requests of a kind \
         are left; after a 429 wait for the seconds in `Retry-After`."
            .to_owned(),
    );
    api.info.license = Some(openapi::LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build());
    api.info.contact = None;
    api.servers = Some(vec![Server::new(if server.is_empty() { "/" } else { server })]);
    api.security = Some(vec![
        SecurityRequirement::new::<_, [&str; 0], &str>("bearer", []),
        SecurityRequirement::new::<_, [&str; 0], &str>("cookie", []),
    ]);
    let components = api.components.get_or_insert_default();
    components.add_security_scheme(
        "bearer",
        SecurityScheme::Http(
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("The token in the data directory's `token` file.")).build(),
        ),
    );
    components.add_security_scheme(
        "cookie",
        SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
            astrolabe_platform::sessions::COOKIE,
            "The session of a browser that opened a one-time link.",
        ))),
    );
    api
}
