-- +goose Up

-- Providers that could not answer of late.
CREATE TABLE circuits (
    provider   TEXT    COLLATE "C" NOT NULL PRIMARY KEY, -- issuer
    failures   INTEGER NOT NULL,                         -- in a row
    shut_until BIGINT  NOT NULL                          -- nobody is rung before; 0: it is not shut
);
