-- A run is the dialogue of one request to an agent: what was asked, which tools were used, what was answered.
CREATE TABLE runs (
    id           TEXT   NOT NULL PRIMARY KEY,
    tenant_id    TEXT   NOT NULL,
    principal_id TEXT   NOT NULL,
    agent        TEXT   NOT NULL,
    input        TEXT   NOT NULL,
    meta         TEXT   NOT NULL,
    state        TEXT   NOT NULL CHECK (state IN ('running', 'completed', 'failed')),
    result       TEXT,
    trace_id     TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    finished_at  BIGINT
);
CREATE INDEX runs_principal ON runs (tenant_id, principal_id, id);

CREATE VIEW v_dialogues AS
    SELECT id, tenant_id, agent, input AS query, {{json(result)}} AS answer, {{json(meta)}} AS meta, state, trace_id, {{time(created_at)}} AS created_at
    FROM runs;
