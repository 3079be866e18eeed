-- Finds finished jobs that are old enough to be removed.
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE state IN ('ready', 'canceled');
