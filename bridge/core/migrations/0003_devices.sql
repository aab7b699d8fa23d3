-- Where a job ran or runs, and where it was asked to.
ALTER TABLE jobs ADD COLUMN device TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN only_on TEXT NOT NULL DEFAULT '';
