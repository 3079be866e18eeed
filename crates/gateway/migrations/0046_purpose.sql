-- For what a model was asked: 'api' (somebody's own request), 'ask', 'plan'. Records of before are of the API.
ALTER TABLE usage_records ADD COLUMN purpose TEXT NOT NULL DEFAULT 'api';

DROP VIEW v_usage_records;

CREATE VIEW v_usage_records AS
    SELECT id, tenant_id, principal_id, key_id, agent, purpose, alias, provider, model, input_tokens, output_tokens, cached_tokens,
           reasoning_tokens, cost_micro_usd, estimated, {{time(started_at)}} AS started_at, latency_us, first_token_us, outcome
    FROM usage_records;
