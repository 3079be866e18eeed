-- For readers of the log: by tenant alone, by who acted, by what it was done to, and by trace.
CREATE INDEX audit_entries_tenant ON audit_entries (tenant_id, id);
CREATE INDEX audit_entries_actor ON audit_entries (tenant_id, actor, id);
CREATE INDEX audit_entries_subject ON audit_entries (tenant_id, subject, id);
CREATE INDEX audit_entries_trace ON audit_entries (tenant_id, trace_id, id);
