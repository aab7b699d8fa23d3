-- What lists and searches look at, beside the large columns and not among them: a library of a hundred thousand results.
ALTER TABLE jobs ADD COLUMN files INTEGER NOT NULL DEFAULT 0;  -- whether its result has any
UPDATE jobs SET files = 1 WHERE state = 'done' AND result IS NOT NULL AND instr(result, x'A7636F70795F6F66') > 0;  -- "copy_of"

CREATE INDEX jobs_results ON jobs (number, state, files, operation, id, caption) WHERE state = 'done' AND files > 0;
CREATE INDEX jobs_words ON jobs (number, state, client, operation, id, caption);
CREATE INDEX jobs_by_end ON jobs (ended) WHERE ended IS NOT NULL;
CREATE INDEX marks_stars ON marks (star, job) WHERE star = 1;
CREATE INDEX marks_deleted ON marks (deleted, job) WHERE deleted IS NOT NULL;
CREATE INDEX marks_notes ON marks (job, note) WHERE note != '';
