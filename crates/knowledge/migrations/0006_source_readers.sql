-- Ids of those who may read a source, as a JSON list; NULL for everybody in the tenant.
ALTER TABLE sources ADD COLUMN readers TEXT;
