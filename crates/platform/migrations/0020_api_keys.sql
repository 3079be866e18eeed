-- Keys that programs sign in with. A key acts as its owner, as far as its scopes reach; NULL scopes are all of the owner's rights.
CREATE TABLE api_keys (
    id           TEXT   NOT NULL PRIMARY KEY,
    tenant_id    TEXT   NOT NULL,
    owner        TEXT   NOT NULL,
    name         TEXT   NOT NULL,
    -- SHA-256 of the key, so that a copy of the database opens nothing, and its last characters, so that people can tell which it is.
    hash         TEXT   NOT NULL UNIQUE,
    hint         TEXT   NOT NULL,
    scopes       TEXT,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    last_used_at BIGINT,
    revoked_at   BIGINT
);
CREATE INDEX api_keys_owner ON api_keys (tenant_id, owner, id);

CREATE VIEW v_api_keys AS
    SELECT id, tenant_id, owner, name, hint, {{json(scopes)}} AS scopes, {{time(created_at)}} AS created_at, {{time(expires_at)}} AS expires_at,
           {{time(last_used_at)}} AS last_used_at, {{time(revoked_at)}} AS revoked_at
    FROM api_keys;
