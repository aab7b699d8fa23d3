-- The results that a list shows (done, with files, not deleted) beside their jobs: short rows to page, count and search.
CREATE TABLE results (
    number INTEGER PRIMARY KEY REFERENCES jobs (number) ON DELETE CASCADE,
    operation TEXT NOT NULL,
    star INTEGER NOT NULL,
    words TEXT NOT NULL,  -- id, operation and caption, one below the other
    note TEXT NOT NULL
);

CREATE VIEW shown_results AS
SELECT
    number,
    operation,
    COALESCE(star, 0) AS star,
    id || char(10) || operation || char(10) || caption AS words,
    COALESCE(note, '') AS note
FROM jobs LEFT JOIN marks ON marks.job = jobs.number
WHERE state = 'done' AND files > 0 AND deleted IS NULL;

INSERT INTO results
SELECT number, operation, COALESCE(star, 0), id || char(10) || operation || char(10) || caption, COALESCE(note, '')
FROM jobs INDEXED BY jobs_results LEFT JOIN marks ON marks.job = jobs.number
WHERE state = 'done' AND files > 0 AND deleted IS NULL;

CREATE INDEX results_by_operation ON results (operation, number);
CREATE INDEX results_stars ON results (number, operation) WHERE star = 1;

-- How many results there are of each operation: counting rows takes longer than reading a page of them.
CREATE TABLE result_counts (operation TEXT PRIMARY KEY, count INTEGER NOT NULL);
INSERT INTO result_counts SELECT operation, COUNT(*) FROM results GROUP BY operation;

CREATE TRIGGER results_counted AFTER INSERT ON results BEGIN
    INSERT INTO result_counts VALUES (new.operation, 1) ON CONFLICT (operation) DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER results_discounted AFTER DELETE ON results BEGIN
    UPDATE result_counts SET count = count - 1 WHERE operation = old.operation;
END;

CREATE TRIGGER jobs_inserted AFTER INSERT ON jobs WHEN new.files > 0 BEGIN
    INSERT INTO results SELECT * FROM shown_results WHERE number = new.number;
END;
CREATE TRIGGER jobs_ended AFTER UPDATE OF state, files ON jobs WHEN old.files > 0 OR new.files > 0 BEGIN
    DELETE FROM results WHERE number = new.number;
    INSERT INTO results SELECT * FROM shown_results WHERE number = new.number;
END;
CREATE TRIGGER marks_inserted AFTER INSERT ON marks BEGIN
    DELETE FROM results WHERE number = new.job;
    INSERT INTO results SELECT * FROM shown_results WHERE number = new.job;
END;
CREATE TRIGGER marks_changed AFTER UPDATE ON marks BEGIN
    DELETE FROM results WHERE number = new.job;
    INSERT INTO results SELECT * FROM shown_results WHERE number = new.job;
END;

-- The results from this number on stand in the index of `bridge/core/result_words.py`; the older ones are still to come.
CREATE TABLE words_indexed (since INTEGER NOT NULL);

-- What a search for jobs looks through besides the results.
CREATE INDEX jobs_without_files ON jobs (number, state, operation, id, caption) WHERE files = 0;
CREATE INDEX marks_thrown_away ON marks (job) WHERE deleted IS NOT NULL;

DROP INDEX jobs_results;
DROP INDEX marks_notes;
