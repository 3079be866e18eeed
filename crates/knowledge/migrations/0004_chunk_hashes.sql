-- Tells whether any chunk still has a text, so that vectors of texts that are gone can be removed.
CREATE INDEX chunks_text_hash ON chunks (tenant_id, text_hash);
