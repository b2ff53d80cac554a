//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"

	"mimicsync/bench/link"
)

// The ports of nginx: the same files, under other limits.
const (
	portPlain   = "plain"
	portCapped  = "capped"  // 8 MB/s for each response
	portRefused = "refused" // 12 connections at once, 503 to others; 1 MB/s for each response, so that they last
	portLimited = "limited" // 400 requests a second, 429 with Retry-After to others
)

const (
	permittedConnections = 12
	permittedRequests    = 400 // a second
)

// limits are the directives of each port. A burst of a tenth of a second is let through, as is usual: with none, two requests
// in the same millisecond were one too many.
var limits = map[string]string{
	portPlain:   "",
	portCapped:  "limit_rate 8m;",
	portRefused: fmt.Sprintf("limit_conn connections %d; limit_conn_status 503; limit_rate 1m;", permittedConnections),
	portLimited: fmt.Sprintf("limit_req zone=requests burst=%d nodelay; limit_req_status 429; error_page 429 @limited; location @limited { add_header Retry-After 1 always; return 429; }", permittedRequests/10),
}

// The JSON API answers with the size of a version, without an account, as PhysioNet's does. `return` comes before the limits.
var nginxConf = template.Must(template.New("nginx.conf").Parse(`daemon off;
worker_processes auto;
{{with .User}}user {{.}};{{end}}
pid {{.Dir}}/nginx.pid;
error_log {{.Dir}}/error.log crit;
events { worker_connections 8192; }
http {
  types { text/html html; text/plain txt; image/jpeg jpg; application/gzip gz; }
  default_type application/octet-stream;
  log_format bench '$connection $status $body_bytes_sent $request_method';
  access_log {{.Dir}}/access.log bench;
  client_body_temp_path {{.Dir}}/tmp; proxy_temp_path {{.Dir}}/tmp; fastcgi_temp_path {{.Dir}}/tmp; uwsgi_temp_path {{.Dir}}/tmp; scgi_temp_path {{.Dir}}/tmp;
  sendfile on; tcp_nopush on;
  limit_conn_zone $server_port zone=connections:1m;
  limit_req_zone $server_port zone=requests:1m rate={{.Rate}}r/s;
  ssl_certificate {{.Certificate}}; ssl_certificate_key {{.Key}};
  ssl_protocols TLSv1.2 TLSv1.3;
  root {{.Root}};
  {{range .Servers}}
  server {
    listen {{$.Host}}:{{.Port}} ssl;
    {{.Limits}}
    location /files/ { autoindex on; auth_basic "PhysioNet"; auth_basic_user_file {{$.Dir}}/htpasswd; }
    {{range $.Published}}
    location = /api/v1/projects/{{.Dataset}}/versions/{{.Version}}/ { default_type application/json; return 200 '{"main_storage_size": {{.Bytes}}}'; }
    {{end}}
  }
  {{end}}
}
`))

// nginx serves corpora on loopback, or at the far end of a link.
type nginx struct {
	dir     string
	host    string
	ports   map[string]int
	process *exec.Cmd
	link    *link.Link // nil on loopback
	log     *accessLog
}

// startNginx serves what is published below root. lag is the round-trip time of the link to it; none if 0.
func startNginx(ctx context.Context, s *stage, root string, corpora []*published, lag time.Duration) (_ *nginx, err error) {
	n := &nginx{host: "127.0.0.1", ports: map[string]int{}}
	if n.dir, err = os.MkdirTemp(s.dir, "nginx-*"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	start := (*exec.Cmd).Start
	if lag > 0 {
		pump := s.command(ctx, s.self, "pump", "-rtt", lag.String())
		if n.link, err = link.Open(pump); err != nil {
			return nil, err
		}
		n.host, start = link.ServerAddr.String(), n.link.Server.Start
	}
	if err := n.configure(s, root, corpora); err != nil {
		return nil, err
	}
	if n.log, err = openAccessLog(filepath.Join(n.dir, "access.log")); err != nil {
		return nil, err
	}
	n.process = exec.CommandContext(ctx, "nginx", "-p", n.dir, "-e", filepath.Join(n.dir, "error.log"), "-c", filepath.Join(n.dir, "nginx.conf")) //nolint:gosec // our own folder
	n.process.Env = []string{"PATH=" + os.Getenv("PATH")}
	n.process.Stderr = os.Stderr
	// The master must end its workers: SIGKILL would leave them behind.
	n.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	n.process.Cancel = func() error { return n.process.Process.Signal(syscall.SIGTERM) }
	if err := start(n.process); err != nil {
		return nil, fmt.Errorf("start nginx: %w", err)
	}
	return n, n.await(ctx)
}

func (n *nginx) configure(s *stage, root string, corpora []*published) error {
	type server struct {
		Port   int
		Limits string
	}
	type answer struct {
		Dataset, Version string
		Bytes            int64
	}
	values := struct {
		User, Dir, Root, Host, Certificate, Key string
		Rate                                    int
		Servers                                 []server
		Published                               []answer
	}{Dir: n.dir, Root: root, Host: n.host, Certificate: s.certificate.file, Key: s.certificate.key, Rate: permittedRequests}
	if os.Geteuid() == 0 { // workers would run as nobody, who may not read the corpus
		me, err := user.Current()
		if err != nil {
			return err
		}
		values.User = me.Username
	}
	for name, directives := range limits {
		port, err := freePort()
		if err != nil {
			return err
		}
		n.ports[name] = port
		values.Servers = append(values.Servers, server{port, directives})
	}
	for _, c := range corpora {
		values.Published = append(values.Published, answer{c.name, version, c.bytes})
	}
	if err := os.WriteFile(filepath.Join(n.dir, "htpasswd"), []byte(account+":{PLAIN}"+password+"\n"), 0o600); err != nil {
		return err
	}
	var text strings.Builder
	if err := nginxConf.Execute(&text, values); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(n.dir, "nginx.conf"), []byte(text.String()), 0o600)
}

// freePort returns a port that nobody uses at this moment.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // listening waits for nobody
	if err != nil {
		return 0, err
	}
	addr, err := net.ResolveTCPAddr("tcp", l.Addr().String())
	return addr.Port, errors.Join(err, l.Close())
}

// await returns when nginx listens: it writes its pid after that.
func (n *nginx) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if b, err := os.ReadFile(filepath.Join(n.dir, "nginx.pid")); err == nil && len(b) > 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			said, _ := os.ReadFile(filepath.Join(n.dir, "error.log")) // it may have said nothing
			return fmt.Errorf("nginx does not start: %w: %s", context.Cause(ctx), said)
		case <-tick.C:
		}
	}
}

func (n *nginx) close() error {
	if n.process != nil && n.process.Process != nil {
		_ = n.process.Process.Signal(syscall.SIGTERM)
		_ = n.process.Wait() // it was told to end
	}
	var err error
	if n.link != nil {
		err = n.link.Close()
	}
	if n.log != nil {
		err = errors.Join(err, n.log.close())
	}
	return err
}

// site is one of the ports.
func (n *nginx) site(port string) site {
	start := (*exec.Cmd).Start
	if n.link != nil {
		start = n.link.Client.Start
	}
	return site{url: "https://" + net.JoinHostPort(n.host, strconv.Itoa(n.ports[port])), start: start, tally: n.tally}
}

// tally counts what the access log says, and asks the kernel for the processor time of nginx.
func (n *nginx) tally() (tally, error) {
	t, err := n.log.tally()
	if err != nil {
		return t, err
	}
	t.CPU = familyCPU(n.process.Process.Pid)
	return t, nil
}
