CREATE TABLE question_sets (
    id          TEXT   NOT NULL PRIMARY KEY,
    tenant_id   TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    description TEXT   NOT NULL,
    sources     TEXT   NOT NULL,
    version     BIGINT NOT NULL,
    created_by  TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    UNIQUE (tenant_id, name)
);

CREATE TABLE question_set_questions (
    set_id    TEXT   NOT NULL REFERENCES question_sets (id) ON DELETE CASCADE,
    ordinal   BIGINT NOT NULL,
    tenant_id TEXT   NOT NULL,
    name      TEXT   NOT NULL,
    question  TEXT   NOT NULL,
    PRIMARY KEY (set_id, ordinal),
    UNIQUE (set_id, name)
);

CREATE TABLE question_set_runs (
    id            TEXT   NOT NULL PRIMARY KEY,
    tenant_id     TEXT   NOT NULL,
    set_id        TEXT   NOT NULL REFERENCES question_sets (id) ON DELETE CASCADE,
    job_id        TEXT   NOT NULL,
    state         TEXT   NOT NULL CHECK (state IN ('queued', 'running', 'ready', 'failed', 'canceled')),
    error_code    TEXT,
    error_message TEXT,
    set_version   BIGINT NOT NULL,
    total         BIGINT NOT NULL,
    done          BIGINT NOT NULL,
    right_count   BIGINT NOT NULL,
    figures       TEXT,
    started_by    TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    finished_at   BIGINT
);
CREATE INDEX question_set_runs_set ON question_set_runs (tenant_id, set_id, id);
-- Two runs of a set at the same time would measure each other's load.
CREATE UNIQUE INDEX question_set_runs_active ON question_set_runs (set_id) WHERE state IN ('queued', 'running');

-- One row for every question of a run, made with the run, so that a later change of the set does not change what is being asked. A row without a
-- verdict is still to be asked.
CREATE TABLE question_set_results (
    run_id       TEXT   NOT NULL REFERENCES question_set_runs (id) ON DELETE CASCADE,
    ordinal      BIGINT NOT NULL,
    tenant_id    TEXT   NOT NULL,
    question     TEXT   NOT NULL,
    verdict      TEXT,
    answer       TEXT,
    documents    TEXT,
    milliseconds DOUBLE PRECISION,
    PRIMARY KEY (run_id, ordinal)
);

CREATE TABLE ask_feedback (
    id              TEXT    NOT NULL PRIMARY KEY,
    tenant_id       TEXT    NOT NULL,
    ask_id          TEXT    NOT NULL,
    principal_id    TEXT    NOT NULL,
    rating          TEXT    NOT NULL CHECK (rating IN ('up', 'down')),
    reason          TEXT    CHECK (reason IN ('wrong', 'incomplete', 'not_found', 'source_missing', 'other')),
    comment         TEXT    NOT NULL,
    question        TEXT    NOT NULL,
    answer          TEXT    NOT NULL,
    answered        BOOLEAN NOT NULL,
    documents       TEXT    NOT NULL,
    question_set_id TEXT    REFERENCES question_sets (id) ON DELETE SET NULL,
    created_at      BIGINT  NOT NULL,
    updated_at      BIGINT  NOT NULL,
    UNIQUE (tenant_id, ask_id, principal_id)
);
CREATE INDEX ask_feedback_rating ON ask_feedback (tenant_id, rating, id);

CREATE VIEW v_question_set_runs AS
    SELECT r.id, r.tenant_id, s.name AS question_set, r.state, r.total, r.done, r.right_count, {{json(r.figures)}} AS figures, r.started_by,
           r.error_code, r.error_message, {{time(r.created_at)}} AS created_at, {{time(r.finished_at)}} AS finished_at
    FROM question_set_runs r JOIN question_sets s ON s.id = r.set_id;

CREATE VIEW v_ask_feedback AS
    SELECT id, tenant_id, ask_id, principal_id, rating, reason, comment, question, answered, {{json(documents)}} AS documents, question_set_id,
           {{time(created_at)}} AS created_at, {{time(updated_at)}} AS updated_at
    FROM ask_feedback;
