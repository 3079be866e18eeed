-- The keys of our own tokens: one signs, one waits and is published already, the others are published until the last token that they signed has expired.
-- They belong to the installation, not to a tenant. The private half is encrypted with a key that is not in the database, and erased on retirement.
CREATE TABLE signing_keys (
    kid         TEXT   NOT NULL PRIMARY KEY,
    state       TEXT   NOT NULL CHECK (state IN ('next', 'active', 'retired')),
    public_key  TEXT   NOT NULL,
    private_key {{blob}},
    created_at  BIGINT NOT NULL,
    active_at   BIGINT,
    retired_at  BIGINT,
    expires_at  BIGINT
);

-- Of two processes that make or rotate keys at once, one succeeds.
CREATE UNIQUE INDEX signing_keys_state ON signing_keys (state) WHERE state <> 'retired';

CREATE VIEW v_signing_keys AS
    SELECT kid, state, {{time(created_at)}} AS created_at, {{time(active_at)}} AS active_at, {{time(retired_at)}} AS retired_at,
           {{time(expires_at)}} AS expires_at
    FROM signing_keys;
