CREATE TABLE tickets (
    id              TEXT   NOT NULL PRIMARY KEY,
    tenant_id       TEXT   NOT NULL,
    title           TEXT   NOT NULL,
    description     TEXT   NOT NULL,
    priority        TEXT   NOT NULL CHECK (priority IN ('low', 'normal', 'high')),
    state           TEXT   NOT NULL CHECK (state IN ('open', 'in_progress', 'closed')),
    created_by      TEXT   NOT NULL,
    external_id     TEXT,
    -- What made it, so that a repeated step finds its ticket instead of making another.
    effect_key      TEXT,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL
);
CREATE UNIQUE INDEX tickets_effect ON tickets (tenant_id, effect_key);
CREATE INDEX tickets_tenant ON tickets (tenant_id, id);

CREATE VIEW v_tickets AS
    SELECT id, tenant_id, title, description, priority, state, created_by, external_id, {{time(created_at)}} AS created_at, {{time(updated_at)}} AS updated_at
    FROM tickets;
