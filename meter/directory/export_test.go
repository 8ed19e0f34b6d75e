package directory

// LimitKeysAndMembers sets the bounds of accounts for a test.
func LimitKeysAndMembers(keys, members int) (restore func()) {
	k, m := mostKeys, mostMembers
	mostKeys, mostMembers = keys, members
	return func() { mostKeys, mostMembers = k, m }
}
