-- Requests to hand over or to erase one person's data. `person` is emptied when the erasure is done.
CREATE TABLE privacy_requests (
    id            TEXT   NOT NULL PRIMARY KEY,
    tenant_id     TEXT   NOT NULL,
    kind          TEXT   NOT NULL CHECK (kind IN ('export', 'erase')),
    person        TEXT   NOT NULL,
    requested_by  TEXT   NOT NULL,
    job_id        TEXT   NOT NULL,
    state         TEXT   NOT NULL CHECK (state IN ('queued', 'running', 'ready', 'failed', 'canceled')),
    error_code    TEXT,
    error_message TEXT,
    -- How many records of each sort, as JSON.
    records       TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    finished_at   BIGINT
);
CREATE INDEX privacy_requests_tenant ON privacy_requests (tenant_id, id);
CREATE INDEX privacy_requests_finished ON privacy_requests (finished_at);

-- The lines of an export, removed a week after it was made.
CREATE TABLE privacy_lines (
    request_id TEXT   NOT NULL REFERENCES privacy_requests (id) ON DELETE CASCADE,
    ordinal    BIGINT NOT NULL,
    tenant_id  TEXT   NOT NULL,
    line       TEXT   NOT NULL,
    PRIMARY KEY (request_id, ordinal)
);

CREATE VIEW v_privacy_requests AS
    SELECT id, tenant_id, kind, requested_by, job_id, state, error_code, error_message, {{json(records)}} AS records,
           {{time(created_at)}} AS created_at, {{time(finished_at)}} AS finished_at
    FROM privacy_requests;
