-- The process that answers; NULL for asks of before. What a dead one left unanswered is ended.
ALTER TABLE asks ADD COLUMN process_id TEXT;
