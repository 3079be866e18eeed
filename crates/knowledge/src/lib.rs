//! Sources, documents, ingest, search and answers with citations.
