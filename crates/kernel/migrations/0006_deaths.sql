-- How often the process that worked on a job died: counted apart from its attempts, because that is rarely the job's own fault.
ALTER TABLE jobs ADD COLUMN deaths BIGINT NOT NULL DEFAULT 0;
