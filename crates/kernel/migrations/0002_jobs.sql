-- Jobs. The row is the truth: it is written with the change that needs the work, and `fence` rises with every claim, so that a
-- worker that lost its lease can be told from the one that holds it.
CREATE TABLE jobs (
    id               TEXT    NOT NULL PRIMARY KEY,
    tenant_id        TEXT    NOT NULL,
    kind             TEXT    NOT NULL,
    subject          TEXT    NOT NULL,
    payload          TEXT    NOT NULL,
    state            TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'ready', 'failed', 'canceled')),
    priority         BIGINT  NOT NULL,
    attempts         BIGINT  NOT NULL,
    max_attempts     BIGINT  NOT NULL,
    run_at           BIGINT  NOT NULL,
    fence            BIGINT  NOT NULL,
    lease_owner      TEXT,
    lease_until      BIGINT,
    cancel_requested BOOLEAN NOT NULL,
    done             BIGINT  NOT NULL,
    total            BIGINT  NOT NULL,
    stage            TEXT    NOT NULL,
    error_code       TEXT,
    error_message    TEXT,
    created_at       BIGINT  NOT NULL,
    updated_at       BIGINT  NOT NULL,
    finished_at      BIGINT
);
CREATE INDEX jobs_queued ON jobs (priority DESC, run_at, id) WHERE state = 'queued';
CREATE INDEX jobs_running ON jobs (lease_until) WHERE state = 'running';
CREATE INDEX jobs_tenant ON jobs (tenant_id, id);
CREATE INDEX jobs_subject ON jobs (tenant_id, subject);

CREATE VIEW v_jobs AS
    SELECT id, tenant_id, kind, subject, state, attempts, max_attempts, stage, done, total, error_code, error_message, lease_owner,
           {{json(payload)}} AS payload, {{time(run_at)}} AS run_at, {{time(lease_until)}} AS lease_until,
           {{time(created_at)}} AS created_at, {{time(updated_at)}} AS updated_at, {{time(finished_at)}} AS finished_at
    FROM jobs;
