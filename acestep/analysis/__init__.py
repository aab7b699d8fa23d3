"""What a sound is heard to be: tempo, beat, key, level. One place for the check of results, the guide, the choice of the best of
several takes and the labels of training. numpy alone; `acestep.analysis.listen` says everything at once."""
