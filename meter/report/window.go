package report

import "github.com/farebox-dev/farebox/meter/store"

// passed is how many records a window reads past before it begins a new scan behind
// them: that costs as much as some hundred records.
const passed = 200

// window calls fn for the records of a kind, of all accounts in order, whose names
// are not less than from. When fn wants no more of an account, it goes on with the
// next one; store.ErrStop ends it. There may be millions of accounts with few records
// each, for which a scan each would take minutes, or few with millions.
func window(s store.Snapshot, kind store.Kind, from string, fn func(store.ID, []byte) (more bool, err error)) error {
	begin, again := store.ID{Kind: kind}, true
	for again {
		again = false
		account, ended, others := "", false, 0
		err := s.Scan(begin, false, func(id store.ID, value []byte) error {
			if id.Account != account {
				account, ended, others = id.Account, false, 0
			}
			if !ended && id.Name >= from {
				more, err := fn(id, value)
				ended = !more
				return err
			}
			if others++; others < passed {
				return nil
			}
			again = true
			if begin = (store.ID{Kind: kind, Account: account, Name: from}); ended {
				begin = store.ID{Kind: kind, Account: account + "\x01"} // behind it: ids hold no control characters
			}
			return store.ErrStop
		})
		if err != nil {
			return err
		}
	}
	return nil
}
