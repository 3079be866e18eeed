-- The blob store's own name of an upload; empty where parts are in a folder.
ALTER TABLE uploads ADD COLUMN handle TEXT NOT NULL DEFAULT '';
