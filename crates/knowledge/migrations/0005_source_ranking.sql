-- How the documents of a source rank beside others, as JSON; an empty object changes nothing.
ALTER TABLE sources ADD COLUMN ranking TEXT NOT NULL DEFAULT '{}';

DROP VIEW v_sources;
CREATE VIEW v_sources AS
    SELECT id, tenant_id, name, description, {{json(tags)}} AS tags, chunk_size, chunk_overlap, {{json(ranking)}} AS ranking,
           {{time(created_at)}} AS created_at, {{time(updated_at)}} AS updated_at
    FROM sources;
