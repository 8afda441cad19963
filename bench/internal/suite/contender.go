package suite

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pursestring/pursestring/bench/internal/load"
	"github.com/pursestring/pursestring/bench/internal/mock"
	"github.com/pursestring/pursestring/bench/internal/proc"
)

// Names of contenders, in the order in which they are measured and shown.
const (
	Direct      = "direct"       // no hop: what the upstream and the generator take themselves
	Bare        = "fasthttp-hop" // what everything is compared with
	Std         = "net/http"
	Pursestring = "pursestring"
	Nginx       = "nginx"
)

// Names lists the contenders that can be chosen. Direct always runs.
var Names = []string{Bare, Std, Pursestring, Nginx}

// Roles are the first arguments with which this executable is started again as
// one of its own processes.
const (
	RoleUpstream = "role-upstream"
	RoleFast     = "role-fasthttp-hop"
	RoleStd      = "role-nethttp"
)

// contender is a running proxy, or for Direct the upstream itself.
type contender struct {
	name  string
	addr  string
	child *proc.Child // nil for Direct
	// json counts the JSON calls answered with 200: all that its books must show.
	json atomic.Int64
	// broken counts calls that were not: then the books cannot be told.
	broken atomic.Int64
}

func (c *contender) stop() {
	if c.child != nil {
		c.child.Stop(15 * time.Second)
	}
}

// usage is zero for Direct.
func (c *contender) usage() (proc.Usage, error) {
	if c.child == nil {
		return proc.Usage{}, nil
	}
	return c.child.Usage()
}

// arena is where contenders run: the upstream, and a folder for their files.
type arena struct {
	dir     string // temporary
	root    string // the module's
	files   uint64 // RLIMIT_NOFILE
	addr    string // upstream
	control string // its control endpoint
	mock    *proc.Child
	started atomic.Int64
	binary  string // pursestring, once built
}

// newArena starts the upstream.
func newArena(ctx context.Context, root, dir string, files uint64) (*arena, error) {
	cmd, err := proc.Self(RoleUpstream)
	if err != nil {
		return nil, err
	}
	child, err := proc.Start("mock upstream", cmd, syscall.SIGKILL)
	if err != nil {
		return nil, err
	}
	addrs, err := child.Addresses(ctx)
	if err == nil && len(addrs) != 2 {
		err = fmt.Errorf("mock upstream printed %d addresses, not 2", len(addrs))
	}
	if err != nil {
		child.Stop(time.Second)
		return nil, err
	}
	return &arena{dir: dir, root: root, files: files, addr: addrs[0], control: addrs[1], mock: child}, nil
}

func (a *arena) stop() { a.mock.Stop(time.Second) }

// start starts a contender and makes its first calls: what they cost beyond
// others is not measured.
func (a *arena) start(ctx context.Context, name string) (*contender, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var c *contender
	var err error
	switch name {
	case Direct:
		c = &contender{name: Direct, addr: a.addr}
	case Bare:
		c, err = a.startSelf(ctx, Bare, RoleFast)
	case Std:
		c, err = a.startSelf(ctx, Std, RoleStd)
	case Nginx:
		c, err = a.startNginx(ctx)
	case Pursestring:
		c, err = a.startPursestring(ctx)
	default:
		err = fmt.Errorf("unknown contender %q", name)
	}
	if err != nil {
		return nil, err
	}
	if err := c.warm(ctx); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

// warmCalls are made before anything is measured.
const warmCalls = 100

func (c *contender) warm(ctx context.Context) error {
	request := load.Chat(mock.Wish{})
	r, err := load.Open(ctx, c.addr, request, load.OpenOptions{Rate: 4 * warmCalls, Length: time.Second / 4, Conns: 4, MaxConns: 16})
	if err != nil {
		return fmt.Errorf("warm %s up: %w", c.name, err)
	}
	c.count(r)
	if r.Errors.Load() > 0 {
		return fmt.Errorf("warm %s up: %d of %d calls failed: %w", c.name, r.Errors.Load(), warmCalls, r.FirstError())
	}
	return nil
}

// count adds a run's JSON calls to what the books must show.
func (c *contender) count(r *load.Result) {
	c.json.Add(r.Calls.Load())
	c.broken.Add(r.Errors.Load())
}

func (a *arena) startSelf(ctx context.Context, name, role string) (*contender, error) {
	cmd, err := proc.Self(role, a.addr)
	if err != nil {
		return nil, err
	}
	child, err := proc.Start(name, cmd, syscall.SIGKILL)
	if err != nil {
		return nil, err
	}
	addrs, err := child.Addresses(ctx)
	if err != nil {
		child.Stop(time.Second)
		return nil, err
	}
	return &contender{name: name, addr: addrs[0], child: child}, nil
}

// errAbsent says that a contender is not on this machine, which is no failure.
var errAbsent = errors.New("not installed")

const nginxConf = `daemon off;
worker_processes auto;
worker_rlimit_nofile %[3]d;
pid nginx.pid;
error_log stderr error;
events { worker_connections %[4]d; }
http {
  access_log off;
  client_max_body_size 0;
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  upstream mock {
    server %[2]s;
    keepalive 4096; keepalive_timeout 1h; keepalive_requests 1000000000;
  }
  server {
    listen %[1]s backlog=4096;
    location / {
      proxy_pass http://mock;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_buffering off;
      proxy_request_buffering off;
      proxy_read_timeout 1h;
    }
  }
}
`

func (a *arena) startNginx(ctx context.Context) (*contender, error) {
	path, err := exec.LookPath("nginx")
	if err != nil {
		return nil, fmt.Errorf("nginx: %w", errAbsent)
	}
	dir, addr, err := a.place()
	if err != nil {
		return nil, err
	}
	conf := fmt.Sprintf(nginxConf, addr, a.addr, a.files, a.files-100)
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o600); err != nil {
		return nil, err
	}
	// Told to end and not killed when we die: it has workers to end first.
	child, err := proc.Start(Nginx, exec.Command(path, "-p", dir, "-e", "stderr", "-c", "nginx.conf"), syscall.SIGTERM)
	if err != nil {
		return nil, err
	}
	return a.await(ctx, &contender{name: Nginx, addr: addr, child: child})
}

// place makes a folder and finds an address for one more process.
func (a *arena) place() (dir, addr string, err error) {
	dir = filepath.Join(a.dir, fmt.Sprint(a.started.Add(1)))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", "", err
	}
	addr, err = proc.FreeAddr()
	return dir, addr, err
}

// await waits until a contender accepts connections.
func (a *arena) await(ctx context.Context, c *contender) (*contender, error) {
	err := c.child.Until(ctx, func() error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.addr)
		if err == nil {
			_ = conn.Close() // it was only a knock
		}
		return err
	})
	if err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}
