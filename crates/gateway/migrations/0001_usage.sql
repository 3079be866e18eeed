-- A request to a provider, written once. Empty text stands for "none" where a key or an agent could be.
CREATE TABLE usage_records (
    id               TEXT    NOT NULL PRIMARY KEY,
    tenant_id        TEXT    NOT NULL,
    principal_id     TEXT    NOT NULL,
    key_id           TEXT    NOT NULL,
    agent            TEXT    NOT NULL,
    alias            TEXT    NOT NULL,
    provider         TEXT    NOT NULL,
    model            TEXT    NOT NULL,
    input_tokens     BIGINT  NOT NULL,
    output_tokens    BIGINT  NOT NULL,
    cached_tokens    BIGINT  NOT NULL,
    reasoning_tokens BIGINT  NOT NULL,
    cost_micro_usd   BIGINT,
    estimated        BOOLEAN NOT NULL,
    started_at       BIGINT  NOT NULL,
    latency_us       BIGINT  NOT NULL,
    first_token_us   BIGINT,
    outcome          TEXT    NOT NULL CHECK (outcome IN ('ok', 'blocked', 'failed', 'timeout', 'canceled', 'cut'))
);
CREATE INDEX usage_records_page ON usage_records (tenant_id, id);
CREATE INDEX usage_records_person ON usage_records (tenant_id, principal_id, id);

-- Sums of the records by day (UTC, in days since 1970), written in the transaction of the records: what budgets and reports read.
CREATE TABLE usage_days (
    tenant_id        TEXT   NOT NULL,
    day              BIGINT NOT NULL,
    principal_id     TEXT   NOT NULL,
    key_id           TEXT   NOT NULL,
    agent            TEXT   NOT NULL,
    alias            TEXT   NOT NULL,
    provider         TEXT   NOT NULL,
    model            TEXT   NOT NULL,
    requests         BIGINT NOT NULL,
    failed           BIGINT NOT NULL,
    estimated        BIGINT NOT NULL,
    unpriced         BIGINT NOT NULL,
    input_tokens     BIGINT NOT NULL,
    output_tokens    BIGINT NOT NULL,
    cached_tokens    BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    cost_micro_usd   BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, day, principal_id, key_id, agent, alias, provider, model)
);

CREATE TABLE budgets (
    id         TEXT    NOT NULL PRIMARY KEY,
    tenant_id  TEXT    NOT NULL,
    scope      TEXT    NOT NULL CHECK (scope IN ('tenant', 'user', 'key', 'agent')),
    subject    TEXT    NOT NULL,
    period     TEXT    NOT NULL CHECK (period IN ('day', 'month')),
    unit       TEXT    NOT NULL CHECK (unit IN ('micro_usd', 'tokens')),
    amount     BIGINT  NOT NULL,
    warn_at    BIGINT  NOT NULL,
    action     TEXT    NOT NULL CHECK (action IN ('warn', 'block')),
    version    BIGINT  NOT NULL,
    created_by TEXT    NOT NULL,
    created_at BIGINT  NOT NULL,
    updated_at BIGINT  NOT NULL,
    UNIQUE (tenant_id, scope, subject, period, unit)
);
CREATE INDEX budgets_page ON budgets (tenant_id, id);

CREATE VIEW v_usage_records AS
    SELECT id, tenant_id, principal_id, key_id, agent, alias, provider, model, input_tokens, output_tokens, cached_tokens, reasoning_tokens,
           cost_micro_usd, estimated, {{time(started_at)}} AS started_at, latency_us, first_token_us, outcome
    FROM usage_records;

CREATE VIEW v_usage_days AS
    SELECT tenant_id, {{time(day * 86400000000)}} AS day, principal_id, key_id, agent, alias, provider, model, requests, failed, estimated,
           unpriced, input_tokens, output_tokens, cached_tokens, reasoning_tokens, cost_micro_usd
    FROM usage_days;

CREATE VIEW v_budgets AS
    SELECT id, tenant_id, scope, subject, period, unit, amount, warn_at, action, version, created_by, {{time(created_at)}} AS created_at,
           {{time(updated_at)}} AS updated_at
    FROM budgets;
