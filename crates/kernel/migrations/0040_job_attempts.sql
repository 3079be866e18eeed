-- Jobs: what a tenant waits for is found without looking through what others wait for, a key stands for one open job, and what went wrong with
-- an attempt is kept. Attempts that went well leave no row.
ALTER TABLE jobs ADD COLUMN unique_key TEXT;
ALTER TABLE jobs ADD COLUMN started_at BIGINT;
ALTER TABLE jobs ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
DROP INDEX jobs_queued;
CREATE INDEX jobs_due ON jobs (tenant_id, priority DESC, run_at, id) WHERE state = 'queued';
CREATE UNIQUE INDEX jobs_unique ON jobs (tenant_id, unique_key) WHERE state IN ('queued', 'running');
CREATE INDEX jobs_failed ON jobs (tenant_id, kind, id) WHERE state = 'failed';

CREATE TABLE job_attempts (
    job_id        TEXT   NOT NULL,
    fence         BIGINT NOT NULL,
    tenant_id     TEXT   NOT NULL,
    worker        TEXT   NOT NULL,
    outcome       TEXT   NOT NULL,
    error_code    TEXT,
    error_message TEXT,
    started_at    BIGINT NOT NULL,
    ended_at      BIGINT NOT NULL,
    PRIMARY KEY (job_id, fence)
);

CREATE VIEW v_job_attempts AS
    SELECT job_id, fence, tenant_id, worker, outcome, error_code, error_message, {{time(started_at)}} AS started_at, {{time(ended_at)}} AS ended_at
    FROM job_attempts;
