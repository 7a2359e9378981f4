-- +goose Up

-- Sign-ins of which the provider says when to ask (CIBA Core section 10.2).
ALTER TABLE requests ADD COLUMN fallback_ms BIGINT NOT NULL DEFAULT 0;  -- between two polls as long as no ping has come; 0: none is awaited
ALTER TABLE requests ADD COLUMN pinged SMALLINT NOT NULL DEFAULT 0;     -- 1: a ping has come
