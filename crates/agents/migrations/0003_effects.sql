-- What a step of a request with an idempotency key did to the world, so that no repeat of the request does it again. `id` names the effect
-- to whoever brings it about; `result` is NULL until it is known to have happened.
CREATE TABLE effects (
    id             TEXT   NOT NULL PRIMARY KEY,
    tenant_id      TEXT   NOT NULL,
    -- The caller, the name of its request, and the step.
    step           TEXT   NOT NULL,
    -- Of the tool and its arguments.
    call_hash      TEXT   NOT NULL,
    result         TEXT,
    created_at     BIGINT NOT NULL,
    finished_at    BIGINT
);
CREATE UNIQUE INDEX effects_step ON effects (tenant_id, step);
CREATE INDEX effects_created_at ON effects (created_at);

-- When a run got its slot; NULL while it waits for one.
ALTER TABLE runs ADD COLUMN started_at BIGINT;

CREATE VIEW v_effects AS
    SELECT id, tenant_id, step, {{json(result)}} AS result, {{time(created_at)}} AS created_at, {{time(finished_at)}} AS finished_at FROM effects;
