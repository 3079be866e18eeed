-- Processes that use this database. On PostgreSQL several may; each writes from time to time until when it is to be taken for alive.
CREATE TABLE processes (
    id           TEXT   NOT NULL PRIMARY KEY,
    started_at   BIGINT NOT NULL,
    alive_until  BIGINT NOT NULL
);

-- Who works on a request (NULL: nobody any more), since when, and in which attempt: what was taken over must not be written by who had it.
ALTER TABLE idempotency_keys ADD COLUMN process_id TEXT;
ALTER TABLE idempotency_keys ADD COLUMN taken_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE idempotency_keys ADD COLUMN attempt BIGINT NOT NULL DEFAULT 1;

CREATE VIEW v_processes AS
    SELECT id, {{time(started_at)}} AS started_at, {{time(alive_until)}} AS alive_until FROM processes;
