package store

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/pursestring/pursestring/internal/budget"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	noDatabase := folder + "/notes.txt"
	if err := os.WriteFile(noDatabase, []byte(strings.Repeat("these are notes, no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		why, url, says string
		is             error
	}{
		{"PostgreSQL comes later", "postgres://u:s3cret@db/x", "SQLite only", budget.ErrInvalid},
		{"under its other name too", "postgresql://u:s3cret@db/x", "SQLite only", budget.ErrInvalid},
		{"another database", "mysql://u:s3cret@db/x", "SQLite only", budget.ErrInvalid},
		{"a bare path", "pursestring.db", "sqlite:PATH", budget.ErrInvalid},
		{"nothing", "", "sqlite:PATH", budget.ErrInvalid},
		{"no path", "sqlite:", "no file named", budget.ErrInvalid},
		{"no path with slashes", "sqlite://", "no file named", budget.ErrInvalid},
		{"a folder that is not there", "sqlite:" + folder + "/none/x.db", "none/x.db", budget.ErrUnavailable},
		{"a folder", "sqlite:" + folder, folder, budget.ErrUnavailable},
		{"a file that is no database", "sqlite:" + noDatabase, "notes.txt", budget.ErrUnavailable},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			db, err := Open(t.Context(), c.url, Options{})
			if err == nil {
				_ = db.Close()
				t.Fatal("opened")
			}
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %v saying %q", err, c.is, c.says)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the password is in the error: %v", err)
			}
		})
	}
}

func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	db := openMigrated(t, "sqlite:"+folder+"/store.db")
	mustCreate(t, db, "acme")
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) < 3 {
		t.Errorf("%d files, want at least the database and its -wal and -shm", len(entries))
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o", e.Name(), mode)
		}
	}
}

func TestPathsAreTakenLiterally(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"with space.db", "50%25.db", "a?b=c.db", "a#b.db", "ünï.db", "a&_pragma=x.db"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := t.TempDir() + "/" + name
			db := openMigrated(t, "sqlite:"+path)
			mustCreate(t, db, "acme")
			if info, err := os.Stat(path); err != nil || info.Size() == 0 {
				t.Errorf("the database is not in %q: %v", path, err)
			}
		})
	}
}

func TestSettingsOfConnections(t *testing.T) {
	t.Parallel()
	db := openMigrated(t, "sqlite:///"+strings.TrimPrefix(t.TempDir(), "/")+"/store.db")
	want := map[string]string{"journal_mode": "wal", "foreign_keys": "1", "synchronous": "1", "busy_timeout": "5000"}
	for name, value := range want {
		for pool, conns := range map[string]interface {
			querier
		}{"write": db.write, "read": db.read} {
			var got string
			if err := conns.QueryRowContext(t.Context(), `PRAGMA `+name).Scan(&got); err != nil || got != value {
				t.Errorf("%s of the %s connection is %q, want %q (%v)", name, pool, got, value, err)
			}
		}
	}
	if _, err := db.read.ExecContext(t.Context(), `DELETE FROM audit_log`); err == nil {
		t.Error("a reading connection has written")
	}
}

func TestStoreOutlivesItsProcess(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + t.TempDir() + "/store.db"
	db := openMigrated(t, url)
	mustCreate(t, db, "acme", "a")
	mustSave(t, db, "acme", 1, 5*budget.Dollar)
	again := openRaw(t, url) // the first is not closed, as after kill -9
	if err := again.CheckSchema(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := mustRecord(t, again, "acme", t0); r.Spent != 5*budget.Dollar {
		t.Errorf("spent is %s", r.Spent)
	}
}

func TestTroubleIsUnavailable(t *testing.T) {
	t.Parallel()
	db := openMigrated(t, "sqlite:"+t.TempDir()+"/store.db")
	mustCreate(t, db, "acme", "a")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := db.RecordByKey(ended, hash("a"), t0)
	if !errors.Is(err, budget.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	closed, err := Open(t.Context(), "sqlite:"+t.TempDir()+"/store.db", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := closed.Ping(t.Context()); err == nil {
		t.Error("a closed store answers")
	}
}
