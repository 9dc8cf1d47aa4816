package argocd

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// needed returns a variable that `cargo xtask test gitops` sets. That suite also starts the API server and the controller.
func needed(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set: run this test with `cargo xtask test gitops`", name)
	}
	return value
}

// output runs a program with an input, and returns its standard output.
func output(t *testing.T, input, program string, arguments ...string) string {
	t.Helper()
	command := exec.Command(program, arguments...)
	command.Stdin = strings.NewReader(input)
	var errors strings.Builder
	command.Stderr = &errors
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s%s", program, arguments, err, output, errors.String())
	}
	return string(output)
}

func kubectl(t *testing.T, input string, arguments ...string) string {
	t.Helper()
	return output(t, input, needed(t, "KUBECTL"), arguments...)
}

// namespace creates a namespace that exists until the end of the test.
func namespace(t *testing.T) string {
	t.Helper()
	name := strings.TrimSpace(kubectl(t, "apiVersion: v1\nkind: Namespace\nmetadata: {generateName: argocd-}\n", "create", "-f", "-", "-o", "jsonpath={.metadata.name}"))
	t.Cleanup(func() { kubectl(t, "", "delete", "namespace", name, "--wait=false") })
	return name
}

// seal returns a sealed document.
func seal(t *testing.T, namespace, name, password string) *unstructured.Unstructured {
	t.Helper()
	secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: " + name + ", namespace: " + namespace + ", labels: {app: db}}\nstringData: {password: " + password + "}\n"
	return parse(t, output(t, secret, needed(t, "ENVELOPE"), "seal"))
}

func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	it := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &it.Object); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return it
}

func text(t *testing.T, object *unstructured.Unstructured) string {
	t.Helper()
	text, err := json.Marshal(object.Object)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func live(t *testing.T, object *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	return parse(t, kubectl(t, "", "get", "envelopesecret", "-n", object.GetNamespace(), object.GetName(), "-o", "json", "--show-managed-fields"))
}

// applied applies a document as Argo CD does with server-side apply, and waits for a condition of the controller.
func applied(t *testing.T, object *unstructured.Unstructured, condition string) {
	t.Helper()
	kubectl(t, text(t, object), "apply", "--server-side", "--force-conflicts", "--field-manager=argocd-controller", "-f", "-")
	wait(t, object, condition)
}

func wait(t *testing.T, object *unstructured.Unstructured, condition string) {
	t.Helper()
	kubectl(t, "", "wait", "-n", object.GetNamespace(), "envelopesecret/"+object.GetName(), "--for=condition="+condition, "--timeout=60s")
}
