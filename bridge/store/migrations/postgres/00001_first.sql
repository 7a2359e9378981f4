-- Times are milliseconds since 1970, lengths of time are milliseconds. Texts are
-- compared byte by byte: they are names, and no index depends on the system's
-- locale.

-- +goose Up

-- Every request a device has made, until it can no longer be repeated. Each poll
-- changes a row twice, so the dead versions of rows must go quickly.
CREATE TABLE requests (
    device      TEXT     COLLATE "C" NOT NULL,
    id          BYTEA    NOT NULL,
    state       TEXT     COLLATE "C" NOT NULL CHECK (state IN ('ringing', 'waiting', 'answered', 'done')),
    person      BYTEA,                       -- keyed hash of who is rung
    due_at      BIGINT   NOT NULL,           -- when somebody must look at the row
    deadline    BIGINT   NOT NULL,           -- of the person (ringing, waiting) or of the delivery (answered)
    interval_ms BIGINT   NOT NULL DEFAULT 0, -- between two polls (waiting) or publications (answered)
    failures    INTEGER  NOT NULL DEFAULT 0, -- polls in a row without an answer
    asking      SMALLINT NOT NULL DEFAULT 0, -- 1: a poll is on its way, or its answer was lost
    lost        SMALLINT NOT NULL DEFAULT 0, -- 1: the answer of an earlier poll was lost
    details     BYTEA,                       -- encrypted, until the answer
    answer      BYTEA,                       -- the signed message, until its receipt
    outcome     TEXT     NOT NULL DEFAULT '',
    PRIMARY KEY (device, id)
);
CREATE INDEX requests_due ON requests (state, due_at);
-- One open request for a person, whichever device and bridge asks.
CREATE UNIQUE INDEX requests_open ON requests (person) WHERE state IN ('ringing', 'waiting');

-- The certificate chains of devices, from their hello.
CREATE TABLE device_chains (
    device    TEXT   COLLATE "C" NOT NULL,
    kid       BYTEA  NOT NULL,
    chain     BYTEA  NOT NULL, -- DER, leaf first, concatenated
    stored_at BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    PRIMARY KEY (device, kid)
);
CREATE INDEX device_chains_end ON device_chains (not_after);

-- Whom a device has signed in.
CREATE TABLE pairings (
    device   TEXT   COLLATE "C" NOT NULL,
    issuer   TEXT   COLLATE "C" NOT NULL,
    subject  TEXT   COLLATE "C" NOT NULL,
    hint_key BYTEA  NOT NULL, -- keyed hash of the hint
    secret   BYTEA  NOT NULL, -- the hint and the name, encrypted
    used_at  BIGINT NOT NULL,
    PRIMARY KEY (device, issuer, subject)
);
CREATE INDEX pairings_hint ON pairings (issuer, hint_key);
CREATE INDEX pairings_used ON pairings (used_at);

-- By which names the device may call them.
CREATE TABLE handles (
    device    TEXT   COLLATE "C" NOT NULL,
    handle    BYTEA  NOT NULL,
    issuer    TEXT   COLLATE "C" NOT NULL,
    subject   TEXT   COLLATE "C" NOT NULL,
    request   BYTEA  NOT NULL, -- the sign-in that made the handle
    minted_at BIGINT NOT NULL,
    PRIMARY KEY (device, handle),
    FOREIGN KEY (device, issuer, subject) REFERENCES pairings (device, issuer, subject) ON DELETE CASCADE
);
CREATE INDEX handles_person ON handles (device, issuer, subject);

-- Sign-ins that were granted and not ended since.
CREATE TABLE sessions (
    device     TEXT   COLLATE "C" NOT NULL,
    id         BYTEA  NOT NULL, -- of the sign-in
    issuer     TEXT   COLLATE "C" NOT NULL,
    subject    TEXT   COLLATE "C" NOT NULL,
    refresh    BYTEA,           -- refresh token, encrypted
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (device, id)
);
CREATE INDEX sessions_end ON sessions (expires_at);

-- Token buckets: full again at that time.
CREATE TABLE quotas (
    name    TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    full_at BIGINT NOT NULL
);
CREATE INDEX quotas_full ON quotas (full_at);

-- Denials in a row, of one person on one device.
CREATE TABLE denials (
    device TEXT    COLLATE "C" NOT NULL,
    person BYTEA   NOT NULL,
    count  INTEGER NOT NULL,
    until  BIGINT  NOT NULL, -- no further request before
    PRIMARY KEY (device, person)
);
CREATE INDEX denials_end ON denials (until);

-- The certificates of the bridges that work, or have lately worked, on this state.
CREATE TABLE bridges (
    kid       BYTEA  NOT NULL PRIMARY KEY,
    leaf      BYTEA  NOT NULL, -- DER
    seen_at   BIGINT NOT NULL,
    not_after BIGINT NOT NULL
);

-- Keys that belong to the state itself, encrypted.
CREATE TABLE secrets (
    name  TEXT  COLLATE "C" NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);
