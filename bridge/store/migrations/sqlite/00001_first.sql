-- Times are milliseconds since 1970, lengths of time are milliseconds.

-- +goose Up

-- Every request a device has made, until it can no longer be repeated.
CREATE TABLE requests (
    device      TEXT    NOT NULL,
    id          BLOB    NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('ringing', 'waiting', 'answered', 'done')),
    person      BLOB,                       -- keyed hash of who is rung
    due_at      INTEGER NOT NULL,           -- when somebody must look at the row
    deadline    INTEGER NOT NULL,           -- of the person (ringing, waiting) or of the delivery (answered)
    interval_ms INTEGER NOT NULL DEFAULT 0, -- between two polls (waiting) or publications (answered)
    failures    INTEGER NOT NULL DEFAULT 0, -- polls in a row without an answer
    asking      INTEGER NOT NULL DEFAULT 0, -- 1: a poll is on its way, or its answer was lost
    lost        INTEGER NOT NULL DEFAULT 0, -- 1: the answer of an earlier poll was lost
    details     BLOB,                       -- encrypted, until the answer
    answer      BLOB,                       -- the signed message, until its receipt
    outcome     TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (device, id)
) STRICT;
CREATE INDEX requests_due ON requests (state, due_at);
-- One open request for a person, whichever device and bridge asks.
CREATE UNIQUE INDEX requests_open ON requests (person) WHERE state IN ('ringing', 'waiting');

-- The certificate chains of devices, from their hello.
CREATE TABLE device_chains (
    device    TEXT    NOT NULL,
    kid       BLOB    NOT NULL,
    chain     BLOB    NOT NULL, -- DER, leaf first, concatenated
    stored_at INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    PRIMARY KEY (device, kid)
) STRICT;
CREATE INDEX device_chains_end ON device_chains (not_after);

-- Whom a device has signed in.
CREATE TABLE pairings (
    device   TEXT    NOT NULL,
    issuer   TEXT    NOT NULL,
    subject  TEXT    NOT NULL,
    hint_key BLOB    NOT NULL, -- keyed hash of the hint
    secret   BLOB    NOT NULL, -- the hint and the name, encrypted
    used_at  INTEGER NOT NULL,
    PRIMARY KEY (device, issuer, subject)
) STRICT;
CREATE INDEX pairings_hint ON pairings (issuer, hint_key);
CREATE INDEX pairings_used ON pairings (used_at);

-- By which names the device may call them.
CREATE TABLE handles (
    device    TEXT    NOT NULL,
    handle    BLOB    NOT NULL,
    issuer    TEXT    NOT NULL,
    subject   TEXT    NOT NULL,
    request   BLOB    NOT NULL, -- the sign-in that made the handle
    minted_at INTEGER NOT NULL,
    PRIMARY KEY (device, handle),
    FOREIGN KEY (device, issuer, subject) REFERENCES pairings (device, issuer, subject) ON DELETE CASCADE
) STRICT;
CREATE INDEX handles_person ON handles (device, issuer, subject);

-- Sign-ins that were granted and not ended since.
CREATE TABLE sessions (
    device     TEXT    NOT NULL,
    id         BLOB    NOT NULL, -- of the sign-in
    issuer     TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    refresh    BLOB,             -- refresh token, encrypted
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (device, id)
) STRICT;
CREATE INDEX sessions_end ON sessions (expires_at);

-- Token buckets: full again at that time.
CREATE TABLE quotas (
    name    TEXT    NOT NULL PRIMARY KEY,
    full_at INTEGER NOT NULL
) STRICT;
CREATE INDEX quotas_full ON quotas (full_at);

-- Denials in a row, of one person on one device.
CREATE TABLE denials (
    device TEXT    NOT NULL,
    person BLOB    NOT NULL,
    count  INTEGER NOT NULL,
    until  INTEGER NOT NULL, -- no further request before
    PRIMARY KEY (device, person)
) STRICT;
CREATE INDEX denials_end ON denials (until);

-- The certificates of the bridges that work, or have lately worked, on this state.
CREATE TABLE bridges (
    kid       BLOB    NOT NULL PRIMARY KEY,
    leaf      BLOB    NOT NULL, -- DER
    seen_at   INTEGER NOT NULL,
    not_after INTEGER NOT NULL
) STRICT;

-- Keys that belong to the state itself, encrypted.
CREATE TABLE secrets (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;
