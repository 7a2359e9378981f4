-- +goose Up

-- A poll changes its row twice, and with it an index, so the old versions are not
-- reused at once. Where a page has room they are, when it is next looked at, and
-- nothing waits for a vacuum: without that room the table grows tenfold between
-- two. It is a small table; a vacuum of it need not be slow to be polite.
ALTER TABLE requests SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

-- Encrypted, or signed: there is nothing to compress.
ALTER TABLE requests ALTER COLUMN details SET STORAGE EXTERNAL;
ALTER TABLE requests ALTER COLUMN answer SET STORAGE EXTERNAL;
