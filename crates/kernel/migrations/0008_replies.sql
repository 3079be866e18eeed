-- The headers of a kept answer that matter to who repeats the request, beside its content type: a JSON object of texts.
ALTER TABLE idempotency_keys ADD COLUMN headers TEXT;

CREATE VIEW v_idempotency_keys AS
    SELECT tenant_id, principal_id, key, status, content_type, {{json(headers)}} AS headers, {{time(created_at)}} AS created_at,
           {{time(taken_at)}} AS taken_at, attempt, process_id
    FROM idempotency_keys;
