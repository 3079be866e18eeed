-- A document is a name in a source; `version` rises with every new content. Its chunks and text are of `indexed_version`, which
-- lags while a new version is being ingested, so that the old one stays searchable until then.
CREATE TABLE documents (
    id              TEXT    NOT NULL PRIMARY KEY,
    tenant_id       TEXT    NOT NULL,
    source_id       TEXT    NOT NULL REFERENCES sources (id),
    name            TEXT    NOT NULL,
    mime            TEXT    NOT NULL,
    size            BIGINT  NOT NULL,
    lang            TEXT    NOT NULL,
    title           TEXT    NOT NULL,
    tags            TEXT    NOT NULL,
    state           TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'ready', 'failed', 'canceled')),
    error_code      TEXT,
    error_message   TEXT,
    content_hash    TEXT    NOT NULL,
    duplicate_of    TEXT,
    version         BIGINT  NOT NULL,
    indexed_version BIGINT  NOT NULL,
    chunk_count     BIGINT  NOT NULL,
    embedded        BOOLEAN NOT NULL,
    job_id          TEXT    NOT NULL,
    created_at      BIGINT  NOT NULL,
    updated_at      BIGINT  NOT NULL,
    UNIQUE (source_id, name)
);
CREATE INDEX documents_content ON documents (tenant_id, source_id, content_hash);
CREATE INDEX documents_state ON documents (tenant_id, source_id, state);

-- What was extracted; character offsets of chunks and citations count in this text.
CREATE TABLE document_texts (
    document_id TEXT NOT NULL PRIMARY KEY REFERENCES documents (id) ON DELETE CASCADE,
    tenant_id   TEXT NOT NULL,
    text        TEXT NOT NULL,
    headings    TEXT NOT NULL
);

CREATE TABLE chunks (
    id           TEXT   NOT NULL PRIMARY KEY,
    tenant_id    TEXT   NOT NULL,
    source_id    TEXT   NOT NULL,
    document_id  TEXT   NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    ordinal      BIGINT NOT NULL,
    start_at     BIGINT NOT NULL,
    end_at       BIGINT NOT NULL,
    heading      TEXT   NOT NULL,
    text         TEXT   NOT NULL,
    text_hash    TEXT   NOT NULL,
    lang         TEXT   NOT NULL,
    page         BIGINT,
    version      BIGINT NOT NULL,
    UNIQUE (document_id, ordinal)
);
CREATE INDEX chunks_source ON chunks (tenant_id, source_id);

-- Vectors by the text they stand for: the same passage is embedded once in a tenant, and the index can be rebuilt without the model.
CREATE TABLE embeddings (
    tenant_id     TEXT   NOT NULL,
    alias         TEXT   NOT NULL,
    model_version TEXT   NOT NULL,
    text_hash     TEXT   NOT NULL,
    vector        {{blob}} NOT NULL,
    created_at    BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, alias, model_version, text_hash)
);

CREATE VIEW v_documents AS
    SELECT d.id, d.tenant_id, s.name AS source, d.name, d.title, d.mime, d.size, d.lang, d.state, d.error_code, d.error_message, d.version,
           d.indexed_version, d.chunk_count, d.embedded, d.duplicate_of, {{time(d.created_at)}} AS created_at, {{time(d.updated_at)}} AS updated_at
    FROM documents d JOIN sources s ON s.id = d.source_id;
