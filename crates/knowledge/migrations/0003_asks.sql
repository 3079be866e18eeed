CREATE TABLE asks (
    id           TEXT   NOT NULL PRIMARY KEY,
    tenant_id    TEXT   NOT NULL,
    principal_id TEXT   NOT NULL,
    question     TEXT   NOT NULL,
    state        TEXT   NOT NULL CHECK (state IN ('running', 'completed', 'failed')),
    answer       TEXT,
    trace_id     TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    finished_at  BIGINT
);
CREATE INDEX asks_principal ON asks (tenant_id, principal_id, id);

CREATE VIEW v_asks AS
    SELECT id, tenant_id, principal_id, question, state, {{json(answer)}} AS answer, trace_id, {{time(created_at)}} AS created_at,
           {{time(finished_at)}} AS finished_at
    FROM asks;
