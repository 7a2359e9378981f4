-- +goose Up

-- A renewal is a request too.
ALTER TABLE requests DROP CONSTRAINT requests_state_check;
ALTER TABLE requests ADD CONSTRAINT requests_state_check CHECK (state IN ('ringing', 'waiting', 'renewing', 'answered', 'done'));

-- Nothing wrote refresh tokens before.
ALTER TABLE sessions DROP COLUMN refresh;
ALTER TABLE sessions ADD COLUMN renewal BYTEA;                         -- refresh token and what it is good for, encrypted; NULL: none
ALTER TABLE sessions ADD COLUMN renew_until BIGINT NOT NULL DEFAULT 0; -- the last instant for a renewal
ALTER TABLE sessions ADD COLUMN renewing BYTEA;                        -- the request that is spending the refresh token

-- Refresh tokens that the provider has yet to be told to forget.
CREATE TABLE revocations (
    id      BIGINT   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device  TEXT     COLLATE "C" NOT NULL, -- with session: the place to which the ciphertext is bound
    session BYTEA    NOT NULL,
    issuer  TEXT     COLLATE "C" NOT NULL,
    renewal BYTEA    NOT NULL, -- as in sessions
    tries   INTEGER  NOT NULL DEFAULT 0,
    due_at  BIGINT   NOT NULL,
    until   BIGINT   NOT NULL  -- it is given up
);
CREATE INDEX revocations_due ON revocations (due_at);
