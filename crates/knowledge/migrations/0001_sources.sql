CREATE TABLE sources (
    id            TEXT   NOT NULL PRIMARY KEY,
    tenant_id     TEXT   NOT NULL,
    name          TEXT   NOT NULL,
    description   TEXT   NOT NULL,
    tags          TEXT   NOT NULL,
    chunk_size    BIGINT NOT NULL,
    chunk_overlap BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    UNIQUE (tenant_id, name)
);

CREATE VIEW v_sources AS
    SELECT id, tenant_id, name, description, {{json(tags)}} AS tags, chunk_size, chunk_overlap,
           {{time(created_at)}} AS created_at, {{time(updated_at)}} AS updated_at
    FROM sources;
