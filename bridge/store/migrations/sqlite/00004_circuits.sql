-- +goose Up

-- Providers that could not answer of late.
CREATE TABLE circuits (
    provider   TEXT    NOT NULL PRIMARY KEY, -- issuer
    failures   INTEGER NOT NULL,             -- in a row
    shut_until INTEGER NOT NULL              -- nobody is rung before; 0: it is not shut
) STRICT;
