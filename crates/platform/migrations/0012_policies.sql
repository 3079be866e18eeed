CREATE TABLE policies (
    id          TEXT    NOT NULL PRIMARY KEY,
    tenant_id   TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    description TEXT    NOT NULL,
    text        TEXT    NOT NULL,
    enabled     BOOLEAN NOT NULL,
    version     BIGINT  NOT NULL,
    created_by  TEXT    NOT NULL,
    created_at  BIGINT  NOT NULL,
    updated_at  BIGINT  NOT NULL,
    UNIQUE (tenant_id, name)
);
CREATE INDEX policies_page ON policies (tenant_id, id);

-- Grows with every change of a tenant's policies: what a process read before is still right as long as this number is the same.
CREATE TABLE policy_versions (
    tenant_id TEXT   NOT NULL PRIMARY KEY,
    version   BIGINT NOT NULL
);

CREATE VIEW v_policies AS
    SELECT id, tenant_id, name, description, text, enabled, version, created_by, {{time(created_at)}} AS created_at,
           {{time(updated_at)}} AS updated_at
    FROM policies;

-- A tenant without a row has the defaults.
CREATE TABLE tenant_settings (
    tenant_id  TEXT   NOT NULL PRIMARY KEY,
    time_zone  TEXT   NOT NULL,
    flags      TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE VIEW v_tenant_settings AS
    SELECT tenant_id, time_zone, {{json(flags)}} AS flags, version, {{time(updated_at)}} AS updated_at
    FROM tenant_settings;

-- Of the installation, so without a tenant; one row at most.
CREATE TABLE maintenance (
    id         BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    mode       TEXT   NOT NULL CHECK (mode IN ('off', 'read_only')),
    message    TEXT   NOT NULL,
    until      BIGINT,
    changed_by TEXT   NOT NULL,
    changed_at BIGINT NOT NULL
);

CREATE VIEW v_maintenance AS
    SELECT mode, message, {{time(until)}} AS until, changed_by, {{time(changed_at)}} AS changed_at
    FROM maintenance;
