-- Tenants, people and who belongs where. `tenants` and `users` are of the whole installation and have no tenant_id; a membership is a tenant's.
CREATE TABLE tenants (
    id         TEXT   NOT NULL PRIMARY KEY,
    slug       TEXT   NOT NULL UNIQUE,
    name       TEXT   NOT NULL,
    state      TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- The tenant of an installation that has set up no others: kernel::principal::default_tenant().
INSERT INTO tenants (id, slug, name, state, version, created_at, updated_at)
    VALUES ('ten_3Q78HWQKQRSC4K1KZXR6XR1153', 'default', 'default', 'active', 1, 0, 0);

-- The e-mail is folded to lower case; people of an issuer outside may have none. The hash is Argon2id in PHC form.
CREATE TABLE users (
    id             TEXT    NOT NULL PRIMARY KEY,
    home_tenant_id TEXT    NOT NULL,
    email          TEXT    UNIQUE,
    name           TEXT    NOT NULL,
    state          TEXT    NOT NULL,
    password_hash  TEXT,
    must_change    BOOLEAN NOT NULL,
    issuer         TEXT,
    subject        TEXT,
    created_at     BIGINT  NOT NULL,
    last_seen_at   BIGINT
);
CREATE UNIQUE INDEX users_subject ON users (issuer, subject);

CREATE TABLE memberships (
    tenant_id    TEXT   NOT NULL,
    user_id      TEXT   NOT NULL,
    name         TEXT   NOT NULL,
    role         TEXT   NOT NULL,
    capabilities TEXT   NOT NULL,
    state        TEXT   NOT NULL,
    version      BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
);
CREATE INDEX memberships_user ON memberships (user_id);

-- A session without a user is the local administrator's. `method` says how it began: link, password or token.
ALTER TABLE sessions ADD COLUMN user_id TEXT;
ALTER TABLE sessions ADD COLUMN method TEXT NOT NULL DEFAULT 'link';
ALTER TABLE sessions ADD COLUMN client TEXT NOT NULL DEFAULT '';
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_principal ON sessions (principal_id);

-- A link without a user signs the local administrator in; one with `joins` only tells its owner to sign in with what he has.
ALTER TABLE sign_in_codes ADD COLUMN user_id TEXT;
ALTER TABLE sign_in_codes ADD COLUMN joins BOOLEAN NOT NULL DEFAULT FALSE;

-- The refresh tokens of a session are one family. Used ones stay until the session ends, so that one that comes again is noticed.
CREATE TABLE refresh_tokens (
    hash       TEXT   NOT NULL PRIMARY KEY,
    tenant_id  TEXT   NOT NULL,
    session_id TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    used_at    BIGINT
);
CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);

CREATE VIEW v_tenants AS
    SELECT id, slug, name, state, version, {{time(created_at)}} AS created_at, {{time(updated_at)}} AS updated_at FROM tenants;

CREATE VIEW v_users AS
    SELECT id, home_tenant_id, email, name, state, password_hash IS NOT NULL AS has_password, must_change, issuer, subject,
           {{time(created_at)}} AS created_at, {{time(last_seen_at)}} AS last_seen_at
    FROM users;

CREATE VIEW v_memberships AS
    SELECT tenant_id, user_id, name, role, {{json(capabilities)}} AS capabilities, state, version, {{time(created_at)}} AS created_at,
           {{time(updated_at)}} AS updated_at
    FROM memberships;

DROP VIEW v_sessions;
CREATE VIEW v_sessions AS
    SELECT id, tenant_id, principal_id, user_id, method, client, {{time(created_at)}} AS created_at, {{time(last_used_at)}} AS last_used_at,
           {{time(expires_at)}} AS expires_at
    FROM sessions;

CREATE VIEW v_refresh_tokens AS
    SELECT tenant_id, session_id, {{time(created_at)}} AS created_at, {{time(used_at)}} AS used_at FROM refresh_tokens;
