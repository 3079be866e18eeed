-- Audit entries are written with the action (seq is NULL), then linked into the tenant's hash chain by the sealer. The chain holds
-- the salted hash of the payload, so that personal data can be erased while the chain stays verifiable.
CREATE TABLE audit_entries (
    id           TEXT   NOT NULL PRIMARY KEY,
    tenant_id    TEXT   NOT NULL,
    actor        TEXT   NOT NULL,
    action       TEXT   NOT NULL,
    subject      TEXT   NOT NULL,
    outcome      TEXT   NOT NULL,
    trace_id     TEXT   NOT NULL,
    request_id   TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    payload      TEXT,
    payload_salt TEXT,
    payload_hash TEXT   NOT NULL,
    seq          BIGINT,
    prev_hash    TEXT,
    hash         TEXT
);
CREATE UNIQUE INDEX audit_entries_seq ON audit_entries (tenant_id, seq);
CREATE INDEX audit_entries_unsealed ON audit_entries (created_at, id) WHERE seq IS NULL;

-- One row a tenant: the newest link, and how far the archive has it.
CREATE TABLE audit_chains (
    tenant_id    TEXT   NOT NULL PRIMARY KEY,
    seq          BIGINT NOT NULL,
    hash         TEXT   NOT NULL,
    archived_seq BIGINT NOT NULL
);

-- Signed heads. The key is not in this database, so whoever rewrites the chain cannot sign the result.
CREATE TABLE audit_checkpoints (
    tenant_id  TEXT   NOT NULL,
    seq        BIGINT NOT NULL,
    hash       TEXT   NOT NULL,
    key_id     TEXT   NOT NULL,
    signature  TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, seq)
);

CREATE VIEW v_audits AS
    SELECT id, tenant_id, seq, actor, action, subject, outcome, trace_id, request_id, {{json(payload)}} AS payload, hash,
           {{time(created_at)}} AS created_at
    FROM audit_entries;
