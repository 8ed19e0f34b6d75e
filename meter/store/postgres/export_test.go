package postgres

// queries is how many round trips an update has made for what it had not read ahead.
func (t *tx) queries() int { return t.reader.trips }
