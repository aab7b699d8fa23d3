-- What a person keeps of a job that has ended: a star, a note, and whether it is thrown away (and when).
CREATE TABLE marks (
    job INTEGER PRIMARY KEY REFERENCES jobs (number) ON DELETE CASCADE,
    star INTEGER NOT NULL DEFAULT 0,
    note TEXT NOT NULL DEFAULT '',
    deleted REAL
);

ALTER TABLE jobs ADD COLUMN place REAL;  -- among the waiting jobs, when somebody has moved it; else its number
