CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of acceptance; clocks jump, this does not
    id TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL,                        -- sha256 of operation and parameters as the client sent them
    client TEXT NOT NULL,
    operation TEXT NOT NULL,
    caption TEXT NOT NULL DEFAULT '',
    priority INTEGER NOT NULL,
    state TEXT NOT NULL,
    seq INTEGER NOT NULL,                      -- of the last stored event
    position INTEGER NOT NULL,                 -- as it was told when the job was accepted
    attempt INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL,
    started REAL,
    ended REAL,
    progress BLOB,
    error BLOB,
    request BLOB NOT NULL,
    result BLOB,
    notes BLOB NOT NULL
);

CREATE INDEX jobs_by_state ON jobs (state, number);

CREATE TABLE events (
    job INTEGER NOT NULL REFERENCES jobs (number) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    time REAL NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (job, seq)
) WITHOUT ROWID;

-- Requests that ended the worker, by their body: twice is enough.
CREATE TABLE deaths (
    body TEXT PRIMARY KEY,
    count INTEGER NOT NULL,
    last REAL NOT NULL
);
