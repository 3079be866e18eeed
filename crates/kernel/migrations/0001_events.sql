-- Event logs. A stream is one subject's log; its row in event_streams is locked while an event is appended, so that sequence
-- numbers have no gap and no repeat on either engine.
CREATE TABLE event_streams (
    stream     TEXT   NOT NULL PRIMARY KEY,
    tenant_id  TEXT   NOT NULL,
    seq        BIGINT NOT NULL
);

CREATE TABLE events (
    stream     TEXT   NOT NULL,
    seq        BIGINT NOT NULL,
    tenant_id  TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    data       TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (stream, seq)
);
CREATE INDEX events_created_at ON events (created_at);

CREATE VIEW v_events AS
    SELECT stream, seq, tenant_id, kind, {{json(data)}} AS data, {{time(created_at)}} AS created_at FROM events;
