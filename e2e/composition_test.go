package e2e_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/harness/log-service/internal/proctest"
	"github.com/harness/log-service/internal/stream/redis/redistest"
)

// composition runs what compose.yaml describes as local processes, with the command,
// environment and files of each service. Only the addresses (free loopback ports)
// and the directories (those of the test) differ.
type composition struct {
	t       *testing.T
	file    composeFile
	hosts   map[string]string // by service: the actual address in place of service:port
	folders map[string]string // by service
	one     *process
	two     *process
	redis   *daemon
	door    *process // the program as a client of the balancer
}

// ports are the ports of the services, each in its own container.
var ports = map[string]string{"one": "8079", "two": "8079", "redis": "6379", "minio": "9000", "balancer": "80"}

// composeFile is the relevant part of compose.yaml.
type composeFile struct {
	Services map[string]composeService
	Configs  map[string]struct{ Content string }
}

type composeService struct {
	Image       string
	Build       any
	Restart     string
	Environment map[string]string
	Entrypoint  words
	Command     words
	Volumes     []string
	Ports       []string
	Healthcheck struct{ Test words }
	Configs     []struct{ Source, Target string }
}

// words is a command, given as a list or as a string without quotes.
type words []string

func (w *words) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.SequenceNode {
		return n.Decode((*[]string)(w))
	}
	if strings.ContainsAny(n.Value, `"'\$`) {
		return fmt.Errorf("line %d: a command with quotes is to be a list", n.Line)
	}
	*w = strings.Fields(n.Value)
	return nil
}

// compose starts all services. between may put a proxy in front of Redis for one
// server: it is called with the address of Redis.
func compose(t *testing.T, between func(redis string) string) *composition {
	t.Helper()
	c := &composition{t: t, hosts: map[string]string{}, folders: map[string]string{}}
	text, err := os.ReadFile("../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &c.file); err != nil {
		t.Fatal(err)
	}
	nginx, minio, redis := proctest.Program(t, "nginx", "nginx-light"), pinned(t, "minio", "MINIO_VERSION"), redistest.Program(t, "redis-server")
	for name := range c.file.Services {
		if ports[name] == "" {
			t.Fatalf("compose.yaml has a service %q that this test does not start", name)
		}
		c.hosts[name], c.folders[name] = proctest.FreeAddr(t), t.TempDir()
	}
	c.startRedis(redis)
	c.startMinIO(minio)
	c.one = c.startServer("one", strings.NewReplacer("redis:6379", between(c.hosts["redis"])))
	c.two = c.startServer("two", strings.NewReplacer())
	c.startBalancer(nginx)
	return c
}

// here replaces the addresses of services, and those that compose.yaml publishes, by
// local ones, and the directories of a service by those of the test.
func (c *composition) here(service, text string) string {
	var pairs []string
	for name, addr := range c.hosts {
		pairs = append(pairs, name+":"+ports[name], addr)
		for _, p := range c.file.Services[name].Ports { // 127.0.0.1:published:inside
			part := strings.Split(p, ":")
			if len(part) != 3 || part[0] != "127.0.0.1" || part[2] != ports[name] {
				c.t.Fatalf("service %s publishes %q, not 127.0.0.1:port:%s", name, p, ports[name])
			}
			pairs = append(pairs, "localhost:"+part[1], addr)
		}
	}
	for _, v := range c.file.Services[service].Volumes {
		_, path, _ := strings.Cut(v, ":")
		pairs = append(pairs, path, c.folders[service])
	}
	text = strings.NewReplacer(pairs...).Replace(text)
	if left := regexp.MustCompile(`\$[^$]`).FindString(strings.ReplaceAll(text, "$$", "")); left != "" {
		c.t.Errorf("service %s: compose would put a variable in place of %q", service, left)
	}
	return strings.ReplaceAll(text, "$$", "$")
}

// daemon is a third-party service.
type daemon struct {
	t    *testing.T
	make func() *exec.Cmd
	cmd  *exec.Cmd
	done chan struct{}
}

// daemon prepares a service with the command and environment in compose.yaml, plus
// args and env.
func (c *composition) daemon(service, path string, env, args []string) *daemon {
	s := c.file.Services[service]
	var line []string
	for _, w := range slices.Concat(s.Entrypoint, s.Command) {
		line = append(line, c.here(service, w))
	}
	env = append(env, "PATH="+filepath.Dir(path)+":"+os.Getenv("PATH"), "HOME="+c.folders[service])
	for k, v := range s.Environment {
		env = append(env, k+"="+c.here(service, v))
	}
	line = append(line, args...)
	d := &daemon{t: c.t, make: func() *exec.Cmd {
		cmd := exec.Command(line[0], line[1:]...)
		cmd.Env, cmd.Dir = env, c.folders[service]
		return cmd
	}}
	return d
}

func (d *daemon) start() {
	d.t.Helper()
	out := &logBuffer{}
	cmd, done := d.make(), make(chan struct{})
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.cmd, d.done = cmd, done
	go func() {
		defer close(done)
		_ = cmd.Wait()
	}()
	d.t.Cleanup(func() {
		d.end(syscall.SIGTERM) // nginx has children
		if d.t.Failed() {
			d.t.Logf("%v wrote:\n%s", cmd.Args, out)
		}
	})
}

// end sends a signal and waits for the process to exit.
func (d *daemon) end(with os.Signal) {
	_ = d.cmd.Process.Signal(with)
	late := time.AfterFunc(stopLimit, func() { _ = d.cmd.Process.Kill() })
	defer late.Stop()
	<-d.done
}

// await retries ready until it returns nil.
func (d *daemon) await(ready func() error) {
	d.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(startLimit)
	for {
		err := ready()
		if err == nil {
			return
		}
		select {
		case <-d.done:
			d.t.Fatalf("%v ended: %v", d.cmd.Args, err)
		case <-limit:
			d.t.Fatalf("%v is not ready within %v: %v", d.cmd.Args, startLimit, err)
		case <-tick.C:
		}
	}
}

func (c *composition) startRedis(path string) {
	c.t.Helper()
	_, port, _ := net.SplitHostPort(c.hosts["redis"])
	c.redis = c.daemon("redis", path, nil, []string{"--bind", "127.0.0.1", "--port", port})
	c.redis.start()
	c.awaitRedis()
}

// awaitRedis waits until the healthcheck in compose.yaml succeeds.
func (c *composition) awaitRedis() {
	c.t.Helper()
	c.redis.await(func() error { return c.checkRedis(strings.NewReplacer()) })
	if err := c.checkRedis(strings.NewReplacer("change-me-too", "wrong")); err == nil {
		c.t.Error("the healthcheck of Redis is content with a Redis that refuses it")
	}
}

// checkRedis runs the healthcheck with replacements in its command.
func (c *composition) checkRedis(with *strings.Replacer) error {
	test := c.file.Services["redis"].Healthcheck.Test
	if len(test) < 2 || test[0] != "CMD" {
		c.t.Fatalf("the healthcheck of Redis is %q", test)
	}
	_, port, _ := net.SplitHostPort(c.hosts["redis"])
	args := []string{"-h", "127.0.0.1", "-p", port}
	for _, w := range test[2:] {
		args = append(args, with.Replace(w))
	}
	out, err := exec.Command(test[1], args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%v: %w %s", test, err, out)
	}
	return nil
}

// startMinIO starts the object store without waiting for it, as the servers do.
func (c *composition) startMinIO(path string) {
	c.t.Helper()
	bin := c.t.TempDir()
	if err := os.Symlink(path, filepath.Join(bin, "minio")); err != nil {
		c.t.Fatal(err)
	}
	where := []string{"MINIO_ADDRESS=" + c.hosts["minio"], "MINIO_BROWSER=off", "MINIO_UPDATE=off"}
	c.daemon("minio", filepath.Join(bin, "minio"), where, nil).start()
}

func (c *composition) startServer(name string, between *strings.Replacer) *process {
	c.t.Helper()
	s := c.file.Services[name]
	if s.Build == nil || len(s.Command)+len(s.Entrypoint) > 0 {
		c.t.Fatalf("service %s is not the program of this folder", name)
	}
	env := []string{"LOG_SERVICE_GRPC_BIND=127.0.0.1:0"} // each container can use the default port
	for k, v := range s.Environment {
		switch {
		case k == "LOG_SERVICE_HTTP_BIND" && v == ":"+ports[name]:
			v = c.hosts[name]
		case k == "LOG_SERVICE_DATA":
			v = filepath.Join(c.folders[name], "data")
		default:
			v = c.here(name, between.Replace(v))
		}
		env = append(env, k+"="+v)
	}
	return startProcess(c.t, program(c.t), c.hosts[name], c.folders[name], env...)
}

// nginxConf is what is around the file of compose.yaml in the image of nginx:
// its nginx.conf, with the folders of the test. The log says more, for the
// tests to see which server had which request.
const nginxConf = `worker_processes auto;
error_log stderr notice;
pid %[1]s/pid;
%[2]s
events { worker_connections 1024; }
http {
  log_format tested '$request_method $status $upstream_addr';
  access_log %[1]s/access.log tested;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  default_type application/octet-stream;
  sendfile on;
  keepalive_timeout 65;
  include %[1]s/default.conf;
}
`

func (c *composition) startBalancer(path string) {
	c.t.Helper()
	s, dir := c.file.Services["balancer"], c.folders["balancer"]
	if len(s.Configs) != 1 || s.Configs[0].Target != "/etc/nginx/conf.d/default.conf" || !strings.HasPrefix(s.Image, "nginx:") {
		c.t.Fatalf("the balancer has the files %+v", s.Configs)
	}
	servers := c.here("balancer", c.file.Configs[s.Configs[0].Source].Content)
	servers = strings.Replace(servers, "listen 80;", "listen "+c.hosts["balancer"]+";", 1)
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // other users cannot read the directories of tests
	}
	for name, text := range map[string]string{"default.conf": servers, "nginx.conf": fmt.Sprintf(nginxConf, dir, user)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	d := &daemon{t: c.t, make: func() *exec.Cmd {
		return exec.Command(path, "-e", "stderr", "-p", dir, "-c", dir+"/nginx.conf", "-g", "daemon off;")
	}}
	d.start()
	d.await(func() error {
		conn, err := net.Dial("tcp", c.hosts["balancer"])
		if err != nil {
			return err
		}
		return conn.Close()
	})
	c.door = &process{
		t: c.t, path: plainProgram(c.t), url: "http://" + c.hosts["balancer"], folder: c.t.TempDir(),
		env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, noRaceSleep},
	}
}

// passed is a request that the balancer has forwarded.
type passed struct{ method, status, server string }

var accessLine = regexp.MustCompile(`(?m)^(\S+) (\d+) (.*)$`)

// requests returns the completed requests that the balancer has forwarded so far.
func (c *composition) requests() []passed {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.folders["balancer"], "access.log"))
	if err != nil {
		c.t.Fatal(err)
	}
	var all []passed
	for _, m := range accessLine.FindAllStringSubmatch(string(text), -1) {
		all = append(all, passed{m[1], m[2], m[3]})
	}
	return all
}
