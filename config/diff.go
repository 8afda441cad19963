package config

import "reflect"

// Change is one setting that differs between two configurations. It holds no
// values: they could be secrets.
type Change struct {
	Key     string
	Restart bool // takes effect only after a restart
}

// Diff returns the settings in which two configurations differ, in the order of
// the reference.
func Diff(from, to *Config) []Change {
	var changes []Change
	for i := range fields {
		f := &fields[i]
		if !reflect.DeepEqual(f.of(from).Interface(), f.of(to).Interface()) {
			changes = append(changes, Change{Key: f.key, Restart: !f.live})
		}
	}
	return changes
}
