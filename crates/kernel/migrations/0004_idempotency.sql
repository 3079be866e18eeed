-- Answers kept for requests that carried an idempotency key; `status` is NULL while the first request still runs.
CREATE TABLE idempotency_keys (
    tenant_id    TEXT   NOT NULL,
    principal_id TEXT   NOT NULL,
    key          TEXT   NOT NULL,
    request_hash TEXT   NOT NULL,
    status       BIGINT,
    content_type TEXT,
    body         {{blob}},
    created_at   BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, principal_id, key)
);
CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);
