-- On which device a job is planned before another one renders it, and the plan, from when it is made until the job's end.
ALTER TABLE jobs ADD COLUMN planner_on TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN planned BLOB;
