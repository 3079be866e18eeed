-- An upload that arrives in parts. `secret` signs the addresses of its parts; the parts themselves are in the blob store.
-- Once complete, it is kept for a while so that a repeat of its end gets the same document.
CREATE TABLE uploads (
    id          TEXT   NOT NULL PRIMARY KEY,
    tenant_id   TEXT   NOT NULL,
    source_id   TEXT   NOT NULL REFERENCES sources (id),
    name        TEXT   NOT NULL,
    size        BIGINT NOT NULL,
    sha256      TEXT   NOT NULL,
    part_size   BIGINT NOT NULL,
    tags        TEXT   NOT NULL,
    secret      TEXT   NOT NULL,
    state       TEXT   NOT NULL CHECK (state IN ('open', 'complete')),
    document_id TEXT,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL
);
CREATE INDEX uploads_source ON uploads (tenant_id, source_id, id);
CREATE INDEX uploads_expiry ON uploads (expires_at);

CREATE VIEW v_uploads AS
    SELECT u.id, u.tenant_id, s.name AS source, u.name, u.size, u.sha256, u.part_size, u.state, u.document_id,
           {{time(u.created_at)}} AS created_at, {{time(u.expires_at)}} AS expires_at
    FROM uploads u JOIN sources s ON s.id = u.source_id;
