-- Where a source's documents come from by themselves, as JSON; NULL for a source that people fill. `scanned_at` is when that was last looked at.
ALTER TABLE sources ADD COLUMN origin TEXT;
ALTER TABLE sources ADD COLUMN scanned_at BIGINT;

-- What was found there: the documents that go when it does, and by what it is told that one has changed.
CREATE TABLE source_entries (
    source_id   TEXT NOT NULL REFERENCES sources (id),
    name        TEXT NOT NULL,
    tenant_id   TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    PRIMARY KEY (source_id, name)
);

CREATE VIEW v_source_entries AS
    SELECT e.tenant_id, s.name AS source, e.name, e.fingerprint, d.id AS document_id, d.state
    FROM source_entries e JOIN sources s ON s.id = e.source_id LEFT JOIN documents d ON d.source_id = e.source_id AND d.name = e.name;
