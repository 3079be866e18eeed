-- Sign-in of the page. Codes and cookies are stored as SHA-256, so that a copy of the database opens nothing.
CREATE TABLE sign_in_codes (
    hash         TEXT   NOT NULL PRIMARY KEY,
    tenant_id    TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL
);

CREATE TABLE sessions (
    id           TEXT   NOT NULL PRIMARY KEY,
    tenant_id    TEXT   NOT NULL,
    principal_id TEXT   NOT NULL,
    hash         TEXT   NOT NULL UNIQUE,
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL
);

CREATE VIEW v_sessions AS
    SELECT id, tenant_id, principal_id, {{time(created_at)}} AS created_at, {{time(last_used_at)}} AS last_used_at,
           {{time(expires_at)}} AS expires_at
    FROM sessions;
