package redis_test

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/harness/log-service/internal/stream/redis"
	"github.com/harness/log-service/internal/stream/redis/redistest"
)

// Each start that cannot work says what is wrong, and the way out.
func TestAStartThatCannotWorkSaysWhy(t *testing.T) {
	plain := redistest.Start(t)
	locked := redistest.Start(t, "--requirepass", "right")
	locked.Do("ACL", "SETUSER", "reader", "on", ">pass", "~*", "+@read", "+@connection", "+eval", "+evalsha")
	locked.Do("ACL", "SETUSER", "elsewhere", "on", ">pass", "~other:*", "+@all")
	files := redistest.NewTLS(t)
	secure := redistest.StartTLS(t, files)
	sentinels := redistest.StartSentinels(t)
	at := func(addr string) redis.Config { return redis.Config{Addresses: []string{addr}} }
	with := func(c redis.Config, change func(*redis.Config)) redis.Config { change(&c); return c }

	for name, tc := range map[string]struct {
		config redis.Config
		want   []string
	}{
		"nobody there":         {at(nobody(t)), []string{"nobody answers there", "LOG_SERVICE_REDIS_ENDPOINT"}},
		"no password":          {at(locked.Addr), []string{"NOAUTH", "set LOG_SERVICE_REDIS_PASSWORD"}},
		"wrong password":       {with(at(locked.Addr), func(c *redis.Config) { c.Password = "wr0ng" }), []string{"WRONGPASS", "LOG_SERVICE_REDIS_PASSWORD"}},
		"no right to write":    {with(at(locked.Addr), func(c *redis.Config) { c.Username, c.Password = "reader", "pass" }), []string{"ACL SETUSER reader", "~log-service:*"}},
		"no right to the keys": {with(at(locked.Addr), func(c *redis.Config) { c.Username, c.Password = "elsewhere", "pass" }), []string{"ACL SETUSER elsewhere"}},
		"plain to TLS":         {at(secure.Addr), []string{"LOG_SERVICE_REDIS_SSL_ENABLED=true"}},
		"TLS to plain":         {with(at(plain.Addr), func(c *redis.Config) { c.TLS = trust(t, files) }), []string{"leave LOG_SERVICE_REDIS_SSL_ENABLED unset"}},
		"unknown authority":    {with(at(secure.Addr), func(c *redis.Config) { c.TLS = trust(t, redistest.NewTLS(t)) }), []string{"LOG_SERVICE_REDIS_SSL_CA_CERT_PATH"}},
		"another master":       {redis.Config{Addresses: sentinels.Addrs, MasterName: "nobody"}, []string{"LOG_SERVICE_REDIS_MASTER_NAME"}},
		"no sentinels":         {redis.Config{Addresses: []string{nobody(t)}, MasterName: "logs"}, []string{"nobody answers there"}},
		"too old":              {at(old(t, "6.0.16")), []string{"version 6.0.16", "6.2 or later"}},
		"much too old":         {at(old(t, "")), []string{"older than 6.0", "6.2 or later"}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.config.Store, tc.config.Logger = newStore(t), slog.New(slog.DiscardHandler)
			e, err := redis.Open(t.Context(), tc.config)
			if err == nil {
				_ = e.Stop()
				t.Fatal("it starts")
			}
			var start *redis.StartError
			if !errors.As(err, &start) {
				t.Errorf("%v is no StartError", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v, want it to say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "wr0ng") {
				t.Errorf("the message shows a password: %v", err)
			}
		})
	}
}

func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// old answers as a Redis of version 6.0 does, or as those before it, which know
// no HELLO: there is none to be installed.
func old(t *testing.T, version string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewScanner(c)
				command := ""
				for r.Scan() { // RESP: the name of the command is on the third line, an argument two lines below
					answer := ""
					before := command
					switch command = strings.ToUpper(r.Text()); command {
					case "HELLO":
						if version == "" {
							answer = "-ERR unknown command `HELLO`, with args beginning with: \r\n"
						}
					case "$1":
						command = before // the length of HELLO's argument
					case "3":
						if before == "HELLO" && version != "" {
							answer = fmt.Sprintf("%%3\r\n$7\r\nversion\r\n$%d\r\n%s\r\n$5\r\nproto\r\n:3\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n", len(version), version)
						}
					case "CLUSTER":
						answer = "-ERR This instance has cluster support disabled\r\n"
					case "CLIENT":
						answer = "+OK\r\n"
					case "PING":
						answer = "+PONG\r\n"
					}
					if _, err := c.Write([]byte(answer)); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}
