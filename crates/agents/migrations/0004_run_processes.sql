-- The process that works on a run; NULL for runs of before. What a dead one left undone is ended.
ALTER TABLE runs ADD COLUMN process_id TEXT;
