-- +goose Up

-- A renewal is a request too. SQLite cannot change a CHECK, so the table is made
-- anew.
CREATE TABLE requests_2 (
    device      TEXT    NOT NULL,
    id          BLOB    NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('ringing', 'waiting', 'renewing', 'answered', 'done')),
    person      BLOB,                       -- keyed hash of who is rung
    due_at      INTEGER NOT NULL,           -- when somebody must look at the row
    deadline    INTEGER NOT NULL,           -- of the person (ringing, waiting), of the provider (renewing) or of the delivery (answered)
    interval_ms INTEGER NOT NULL DEFAULT 0, -- between two polls (waiting) or publications (answered)
    failures    INTEGER NOT NULL DEFAULT 0, -- polls in a row without an answer
    asking      INTEGER NOT NULL DEFAULT 0, -- 1: a poll is on its way, or its answer was lost
    lost        INTEGER NOT NULL DEFAULT 0, -- 1: the answer of an earlier poll was lost
    details     BLOB,                       -- encrypted, until the answer
    answer      BLOB,                       -- the signed message, until its receipt
    outcome     TEXT    NOT NULL DEFAULT '',
    fallback_ms INTEGER NOT NULL DEFAULT 0, -- between two polls as long as no ping has come; 0: none is awaited
    pinged      INTEGER NOT NULL DEFAULT 0, -- 1: a ping has come
    PRIMARY KEY (device, id)
) STRICT;
INSERT INTO requests_2 (device, id, state, person, due_at, deadline, interval_ms, failures, asking, lost, details, answer, outcome, fallback_ms, pinged)
    SELECT device, id, state, person, due_at, deadline, interval_ms, failures, asking, lost, details, answer, outcome, fallback_ms, pinged FROM requests;
DROP TABLE requests;
ALTER TABLE requests_2 RENAME TO requests;
CREATE INDEX requests_due ON requests (state, due_at);
CREATE UNIQUE INDEX requests_open ON requests (person) WHERE state IN ('ringing', 'waiting');

-- Nothing wrote refresh tokens before.
ALTER TABLE sessions DROP COLUMN refresh;
ALTER TABLE sessions ADD COLUMN renewal BLOB;                            -- refresh token and what it is good for, encrypted; NULL: none
ALTER TABLE sessions ADD COLUMN renew_until INTEGER NOT NULL DEFAULT 0;  -- the last instant for a renewal
ALTER TABLE sessions ADD COLUMN renewing BLOB;                           -- the request that is spending the refresh token

-- Refresh tokens that the provider has yet to be told to forget.
CREATE TABLE revocations (
    id      INTEGER PRIMARY KEY,
    device  TEXT    NOT NULL, -- with session: the place to which the ciphertext is bound
    session BLOB    NOT NULL,
    issuer  TEXT    NOT NULL,
    renewal BLOB    NOT NULL, -- as in sessions
    tries   INTEGER NOT NULL DEFAULT 0,
    due_at  INTEGER NOT NULL,
    until   INTEGER NOT NULL  -- it is given up
) STRICT;
CREATE INDEX revocations_due ON revocations (due_at);
