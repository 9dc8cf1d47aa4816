// Package flux applies sealed documents with Flux's controllers from a Git server on loopback. `cargo xtask test gitops` builds and runs
// everything that the tests need.
package flux

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func needed(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set: run this test with `cargo xtask test gitops`", name)
	}
	return value
}

// output runs a program in a directory with an input, and returns its standard output.
func output(t *testing.T, directory, input, program string, arguments ...string) string {
	t.Helper()
	// After the test, its context is cancelled, but its clean-up still runs commands.
	command := exec.CommandContext(context.WithoutCancel(t.Context()), program, arguments...)
	command.Dir, command.Stdin = directory, strings.NewReader(input)
	var errors strings.Builder
	command.Stderr = &errors
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s%s", filepath.Base(program), arguments, err, output, errors.String())
	}
	return strings.TrimSpace(string(output))
}

func kubectl(t *testing.T, input string, arguments ...string) string {
	t.Helper()
	return output(t, "", input, needed(t, "KUBECTL"), arguments...)
}

func namespace(t *testing.T) string {
	t.Helper()
	name := kubectl(t, "apiVersion: v1\nkind: Namespace\nmetadata: {generateName: flux-}\n", "create", "-f", "-", "-o", "jsonpath={.metadata.name}")
	t.Cleanup(func() { kubectl(t, "", "delete", "namespace", name, "--wait=false") })
	return name
}

// seal returns a sealed document as YAML. The labels are YAML in flow style, without the braces.
func seal(t *testing.T, namespace, name string, entries map[string]string, labels ...string) string {
	t.Helper()
	secret := fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: %s, labels: {%s}}\ndata:\n",
		name, namespace, strings.Join(labels, ", "))
	for key, value := range entries {
		secret += fmt.Sprintf("  %s: %s\n", key, base64.StdEncoding.EncodeToString([]byte(value)))
	}
	return output(t, "", secret, needed(t, "ENVELOPE"), "seal") + "\n"
}

// entry returns an entry of a Secret, which must exist now.
func entry(t *testing.T, namespace, secret, key string) string {
	t.Helper()
	text := kubectl(t, "", "get", "secret", "-n", namespace, secret, "-o", "jsonpath={.data."+strings.ReplaceAll(key, ".", `\.`)+"}")
	value, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(value)
}

// repository is a Git repository that is served on loopback to those who know the password.
type repository struct {
	t         *testing.T
	directory string
	url       string
}

func (it repository) git(arguments ...string) string {
	it.t.Helper()
	settings := []string{"-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"}
	return output(it.t, it.directory, "", "git", append(settings, arguments...)...)
}

func serve(t *testing.T, user, password string) repository {
	t.Helper()
	root := t.TempDir()
	backend := &cgi.Handler{
		Path: filepath.Join(output(t, "", "", "git", "--exec-path"), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1"},
		// The repository may belong to another user than the one that git expects.
		InheritEnv: []string{"HOME"},
	}
	server := httptest.NewServer(http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		givenUser, givenPassword, _ := request.BasicAuth()
		if givenUser != user || givenPassword != password {
			response.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(response, "unauthorized", http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(response, request)
	}))
	t.Cleanup(server.Close)
	it := repository{t, filepath.Join(root, "app"), server.URL + "/app/.git"}
	output(t, "", "", "git", "init", "--quiet", "--initial-branch=main", it.directory)
	return it
}

// commit writes files, an empty text removes one, and returns the revision as Flux writes it.
func (it repository) commit(files map[string]string) string {
	it.t.Helper()
	for name, text := range files {
		path := filepath.Join(it.directory, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			it.t.Fatal(err)
		}
		if text == "" {
			if err := os.Remove(path); err != nil {
				it.t.Fatal(err)
			}
		} else if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			it.t.Fatal(err)
		}
	}
	it.git("add", "--all")
	it.git("commit", "--quiet", "-m", "change")
	return "main@sha1:" + it.git("rev-parse", "HEAD")
}

// start starts source-controller and another controller of Flux, which watch one namespace, until the end of the test.
func start(t *testing.T, namespace, name string) {
	t.Helper()
	storage := address(t)
	run(t, namespace, "source-controller", "--storage-path="+t.TempDir(), "--storage-addr="+storage, "--storage-adv-addr="+storage)
	run(t, namespace, name, "--requeue-dependency=1s")
}

func run(t *testing.T, namespace, name string, arguments ...string) {
	t.Helper()
	crds := filepath.Join(output(t, name, "", "go", "list", "-m", "-f", "{{.Dir}}", "github.com/fluxcd/"+name), "config/crd/bases")
	kubectl(t, "", "apply", "--server-side", "-f", crds)
	kubectl(t, "", "wait", "--for=condition=Established", "--timeout=60s", "-f", crds)
	arguments = append(arguments, "--watch-all-namespaces=false", "--enable-leader-election=false", "--events-addr=",
		"--metrics-addr=127.0.0.1:0", "--health-addr=127.0.0.1:0")
	command := exec.Command(filepath.Join(needed(t, "FLUX"), name), arguments...)
	command.Env = append(os.Environ(), "RUNTIME_NAMESPACE="+namespace)
	log := filepath.Join(t.TempDir(), "log")
	file, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout, command.Stderr = file, file
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		_ = file.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log)
			t.Logf("%s:\n%s", name, text)
		}
	})
}

// address returns a free address on loopback.
func address(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// until waits for a field of an object to contain a text, and returns the field.
func until(t *testing.T, namespace, object, jsonpath, expected string) string {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		value := kubectl(t, "", "get", "-n", namespace, object, "-o", "jsonpath="+jsonpath)
		if strings.Contains(value, expected) {
			return value
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s of %s is %q, not %q:\n%s", jsonpath, object, value, expected, kubectl(t, "", "get", "-n", namespace, object, "-o", "yaml"))
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
